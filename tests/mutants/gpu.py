"""Faults of the GPU code: only a device that runs asynchronously shows them."""

from tests.mutants.mutant import Mutant

ENGINE = "engines/tensorrt/engine.py"
ROWS = "engines/tensorrt/rows.py"
NETWORK = "engines/tensorrt/network.py"
TESTS = ("tests/contracts/test_engine.py", "tests/engines/tensorrt/test_engine.py")
PLANS = ("tests/engines/tensorrt/test_plans.py",)
RTX = ("tests/engines/tensorrt/test_rtx.py",)

GPU_MUTANTS = (
    Mutant(
        "a step does not wait for the device",
        ENGINE,
        "        self._enqueue_s += monotonic() - began\n        self._device.wait()\n",
        "        self._enqueue_s += monotonic() - began\n",
        TESTS,
    ),
    Mutant(
        "a vector of features is not waited for",
        ENGINE,
        "            self._device.download(self._vector, address)\n"
        "            self._device.wait()\n",
        "            self._device.download(self._vector, address)\n",
        TESTS,
    ),
    Mutant(
        "rows are read without waiting",
        ROWS,
        "self._address(name, first))\n            self._device.wait()\n",
        "self._address(name, first))\n",
        TESTS,
    ),
    Mutant(
        "the page that rows are written from is filled again too early",
        ROWS,
        "            self._device.wait()  # before the page is filled again\n",
        "",
        TESTS,
    ),
    Mutant(
        "a table that has moved is freed too early",
        ROWS,
        "        self._device.wait()\n        for table in old.values():\n",
        "        for table in old.values():\n",
        TESTS,
    ),
    Mutant(
        "a pinned buffer of inputs is filled again too early",
        ENGINE,
        "        if self._device.waits < self._free_after:\n            self._device.wait()\n",
        "",
        TESTS,
    ),
    Mutant(
        "contexts go while work is under way",
        ENGINE,
        "            owned.callback(self._device.wait)",
        "            owned.callback(lambda: None)",
        TESTS,
    ),
    Mutant(
        "h and c are swapped",
        ENGINE,
        "outputs = {spec.name: self._stepped[spec.output] for spec in self._bundle.state}",
        "outputs = {spec.name: self._stepped[other.output] for spec, other in"
        " zip(self._bundle.state, reversed(self._bundle.state), strict=True)}",
        TESTS,
    ),
    Mutant(
        "a reset is dropped",
        ROWS,
        "np.where(self._fresh[index], 0, index + 1)",
        "np.where(self._fresh[index] & (index < 0), 0, index + 1)",
        TESTS,
    ),
    Mutant(
        "a row that has stepped still counts as zero",
        ROWS,
        "                )\n        self._fresh[index] = False\n",
        "                )\n",
        TESTS,
    ),
    Mutant(
        "a row comes twice in a wave",
        "engines/table.py",
        "    if len(set(listed)) != len(listed):\n",
        "    if len(set(listed)) > len(listed):\n",
        TESTS,
    ),
    Mutant(
        "rows are kept before the step is done",
        ENGINE,
        "        self._count(count, self._step.run(count))\n"
        "        outputs = {spec.name: self._stepped[spec.output] for spec in self._bundle.state}\n"
        "        self._table.keep(index, outputs)\n",
        "        outputs = {spec.name: self._stepped[spec.output] for spec in self._bundle.state}\n"
        "        self._table.keep(index, outputs)\n"
        "        self._count(count, self._step.run(count))\n",
        TESTS,
    ),
    Mutant(
        "a batch goes into a bucket that is too small",
        NETWORK,
        "    return next(size for size in BUCKETS if count <= size)\n",
        "    return next(size for size in BUCKETS if count <= size or count == 2 * size + 1)\n",
        TESTS,
    ),
    Mutant(
        "what was recorded with old addresses is replayed",
        NETWORK,
        '        """Fix shapes and addresses. What was recorded with others is dropped."""\n'
        "        self._drop()\n",
        '        """Fix shapes and addresses. What was recorded with others is dropped."""\n',
        TESTS,
    ),
    Mutant(
        "nothing is ever captured",
        NETWORK,
        "        self._execute()\n        self._next = self._record\n",
        "        self._execute()\n",
        TESTS,
    ),
    Mutant(
        "neighbours in a wave are not told apart",
        ROWS,
        "np.flatnonzero(np.diff(index) != 1) + 1",
        "np.flatnonzero(np.diff(index) > 2) + 1",
        TESTS,
    ),
    Mutant(
        "the answers of a wave come in the order of its rows",
        ENGINE,
        "                logits[some] = self._answers[: len(some)]\n",
        "                logits[start : start + len(some)] = self._answers[: len(some)]\n",
        TESTS,
    ),
    Mutant(
        "the padding of a batch is not a row that exists",
        ENGINE,
        "            asked[count:] = 0 ",
        "            asked[count:] = 1 << 20 ",
        TESTS,
    ),
    Mutant(
        "TF32 is left on",
        "engines/tensorrt/build.py",
        "    config.clear_flag(trt.BuilderFlag.TF32)",
        "    config.set_flag(trt.BuilderFlag.TF32)",
        TESTS,
    ),
    Mutant(
        "a plan's key does not know the device",
        "engines/tensorrt/opening.py",
        '    del facts["driver"], facts["library"]\n',
        '    dropped = "driver library gpu capability multiprocessors memory_bytes"\n'
        "    for one in dropped.split():\n"
        "        del facts[one]\n"
        "    return facts\n",
        PLANS,
    ),
    Mutant(
        "a plan's key does not know TensorRT's version",
        "engines/tensorrt/opening.py",
        '    del facts["driver"], facts["library"]\n',
        '    del facts["driver"], facts["library"], facts["tensorrt"], facts["parser"]\n',
        PLANS,
    ),
    Mutant(
        "a plan that TensorRT refused is kept",
        "engines/tensorrt/opening.py",
        "    cache.store(plan_facts(machine, order), built.plan)\n",
        "",
        PLANS,
    ),
    Mutant(
        "only logits are looked at for what is not finite",
        "engines/tensorrt/graphs/subgraphs.py",
        'enumerate(["logits", *floats])',
        'enumerate(["logits", *floats][:1])',
        ("tests/engines/tensorrt/test_graphs.py",),
    ),
    Mutant(
        "a divisor's least value becomes zero in float16",
        "engines/tensorrt/graphs/half_encoder.py",
        "values.size == 1 and values.any()",
        "values.size == 0 and values.any()",
        ("tests/engines/tensorrt/test_halves.py",),
    ),
    Mutant(
        "a given plan is loaded though it is not that of its card",
        "engines/tensorrt/plans.py",
        "        if not _belongs(card, facts, plan):\n            raise",
        "        if not (card or plan):\n            raise",
        RTX,
    ),
    Mutant(
        "a plan for another GPU is built for the one at hand",
        "engines/tensorrt/flavour.py",
        "    if not is_rtx():\n        return\n",
        "    if capability:\n        return\n",
        RTX,
    ),
    Mutant(
        "what TensorRT for RTX has compiled is not kept",
        "engines/tensorrt/network.py",
        "        self._opened.keep(self._contexts.compiled())\n",
        "",
        RTX,
    ),
    Mutant(
        "two processes build the same plan",
        "engines/tensorrt/plans.py",
        "fcntl.flock(lock, fcntl.LOCK_EX)",
        "fcntl.flock(lock, fcntl.LOCK_SH)",
        ("tests/engines/tensorrt/test_plan_cache.py",),
    ),
)
