"""The parts of the experiment `heston_calibration_paper`: accuracy, training, times, claims."""
