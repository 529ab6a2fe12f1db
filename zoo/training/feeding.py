"""Where batches come from: one small interface over markets, data sets and input functions.

A feed has the shape of one replica's batch (`batch_spec`), the number of steps in an epoch
(`steps_per_epoch`) and three methods: `open(first_step)` returns a source to hand to the compiled
function, `take(source, step)` is called outside `strategy.run`, and `load(taken)` inside it, where
it returns the batch of this replica.
"""

import tensorflow as tf


def make_feed(data, strategy, steps_per_epoch=None, batch_size=None, seed=None):
    """The feed for whatever a user may pass as `data` (see `hedgezoo.training.fit`)."""
    if steps_per_epoch is not None and steps_per_epoch < 1:
        raise ValueError(
            f"`steps_per_epoch` must be a positive integer. Received: {steps_per_epoch}"
        )
    if isinstance(data, tf.data.Dataset):
        _refuse_market_arguments(batch_size, seed)
        return _dataset_feed(data, strategy, steps_per_epoch)
    if hasattr(data, "simulate") or hasattr(data, "batches"):
        _check_market_arguments(data, strategy, steps_per_epoch, batch_size, seed)
        if hasattr(data, "simulate"):
            return MarketFeed(data, strategy, steps_per_epoch, batch_size, seed)
        return _batches_feed(data, strategy, steps_per_epoch, batch_size, seed)
    if callable(data):
        _refuse_market_arguments(batch_size, seed)
        return _function_feed(data, strategy, steps_per_epoch)
    raise ValueError(
        "`data` must be a `tf.data.Dataset` of batches, a market (an object with `simulate` or "
        "`batches`), or a function of a `tf.distribute.InputContext` that returns a data set. "
        f"Received: {type(data).__name__}"
    )


class MarketFeed:
    """Paths simulated inside the training graph, each replica its own share of them.

    Replica r of R loads paths `step·B + r·B/R ... step·B + (r+1)·B/R − 1`: together exactly the
    global batch `step`, on whichever devices and workers the replicas live.
    """

    def __init__(self, market, strategy, steps_per_epoch, batch_size, seed):
        self.steps_per_epoch = steps_per_epoch
        self._market = market
        self._batch_size = batch_size
        self._share = batch_size // strategy.num_replicas_in_sync
        self._seed = seed
        simulate = tf.function(lambda: market.simulate(seed, self._share, 0), autograph=False)
        self.batch_spec = simulate.get_concrete_function().structured_outputs

    def open(self, first_step):
        return ()  # a path is a function of its index

    def take(self, source, step):
        return step

    def load(self, step):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        first_path = (
            tf.cast(step, tf.int64) * self._batch_size + tf.cast(replica, tf.int64) * self._share
        )
        return self._market.simulate(self._seed, self._share, first_path)


class IteratorFeed:
    """Batches of a distributed data set that `open_at(first_step)` returns; it never ends."""

    def __init__(self, open_at, batch_spec, steps_per_epoch):
        self.steps_per_epoch = steps_per_epoch
        self.batch_spec = batch_spec
        self._open_at = open_at

    def open(self, first_step):
        return iter(self._open_at(first_step))

    def take(self, source, step):
        return next(source)  # the iterator counts

    def load(self, batch):
        return batch


def _dataset_feed(dataset, strategy, steps_per_epoch):
    if steps_per_epoch is None:
        steps_per_epoch = int(dataset.cardinality())
        if steps_per_epoch == tf.data.INFINITE_CARDINALITY:
            raise ValueError("`data` has no end. Pass `steps_per_epoch`.")
        if steps_per_epoch == tf.data.UNKNOWN_CARDINALITY:
            raise ValueError(
                "`data` does not know its length. Pass `steps_per_epoch`, or use "
                "`data.apply(tf.data.experimental.assert_cardinality(n))`."
            )
        if steps_per_epoch == 0:
            raise ValueError("`data` is empty.")

    def open_at(first_step):
        endless = dataset.repeat().skip(first_step)
        return strategy.experimental_distribute_dataset(_shard_by_element(endless))

    return IteratorFeed(open_at, _replica_spec(dataset.element_spec, strategy), steps_per_epoch)


def _batches_feed(market, strategy, steps_per_epoch, batch_size, seed):
    def batches(first_step):
        return market.batches(batch_size, None, seed, first_step=first_step)

    def open_at(first_step):
        return strategy.experimental_distribute_dataset(_shard_by_element(batches(first_step)))

    return IteratorFeed(open_at, _replica_spec(batches(0).element_spec, strategy), steps_per_epoch)


def _function_feed(function, strategy, steps_per_epoch):
    if steps_per_epoch is None:
        raise ValueError("`steps_per_epoch` is required when `data` is an input function.")

    def open_at(first_step):
        def resumed(context):
            batches_per_step = context.num_replicas_in_sync // context.num_input_pipelines
            return function(context).repeat().skip(first_step * batches_per_step)

        return strategy.distribute_datasets_from_function(resumed)

    context = tf.distribute.InputContext(num_replicas_in_sync=strategy.num_replicas_in_sync)
    return IteratorFeed(open_at, function(context).element_spec, steps_per_epoch)


def _shard_by_element(dataset):
    # any other policy may shard by file, or not at all and so repeat every batch on every worker
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def _replica_spec(element_spec, strategy):
    """`element_spec` of the global batch with the batch axis of one replica."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return element_spec

    def split(spec):
        size = spec.shape[0]
        if size is None:
            raise ValueError(
                f"Every batch of `data` must have the same size to be split over {replicas} "
                "replicas: batch it with `drop_remainder=True`. "
                f"Received: element_spec={element_spec}"
            )
        check_divisible(size, replicas)
        return tf.TensorSpec((size // replicas, *spec.shape[1:]), spec.dtype)

    return tf.nest.map_structure(split, element_spec)


def check_divisible(batch_size, replicas):
    if batch_size % replicas:
        raise ValueError(
            f"The global batch must be divisible by the number of replicas, {replicas}. "
            f"Received: batch_size={batch_size}"
        )


def _refuse_market_arguments(batch_size, seed):
    if batch_size is not None or seed is not None:
        raise ValueError(
            "`batch_size` and `seed` belong to a market; a data set is batched and seeded by its "
            f"maker. Received: batch_size={batch_size}, seed={seed}"
        )


def _check_market_arguments(market, strategy, steps_per_epoch, batch_size, seed):
    missing = [
        name
        for name, value in (
            ("steps_per_epoch", steps_per_epoch),
            ("batch_size", batch_size),
            ("seed", seed),
        )
        if value is None
    ]
    if missing:
        raise ValueError(
            f"A market has no end, batch or seed of its own: {type(market).__name__} needs "
            f"`steps_per_epoch`, `batch_size` and `seed`. Missing: {', '.join(missing)}"
        )
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer. Received: {batch_size}")
    check_divisible(batch_size, strategy.num_replicas_in_sync)
