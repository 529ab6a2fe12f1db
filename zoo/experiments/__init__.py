"""The experiments of the papers, each one function that returns numbers and one that draws them."""
