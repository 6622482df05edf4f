"""Commands on models: bundles, engines, training, evaluation."""
