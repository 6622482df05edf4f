"""Which opsets and operators a bundle's graphs may use, and why others are refused.

The only place for these rules. It does not import onnx, so every start can apply them.
"""

MIN_OPSET, MAX_OPSET = 13, 23  # what ONNX Runtime >= 1.22 and TensorRT >= 10.16 both read
STANDARD = ("", "ai.onnx")  # two names of one domain

_QUANTISED = "it picks its scale from the whole batch; export static quantisation or float32"
_HIDDEN_LOOP = "a step is one explicit cell; export it as MatMul, Sigmoid, Tanh, Mul and Add"
_RANDOM = "a replay would give other numbers; export the model in evaluation mode"
_UNEVEN = (  # found by running every batch size: Eigen's vector and scalar code round differently,
    # and which elements fall to the scalar one depends on where a row lies in the batch
    "ONNX Runtime rounds it by where in the batch a row lies; {instead}"
)
_EXP = _UNEVEN.format(instead="write it with Exp, Where, Mul and Add")
_NONE = _UNEVEN.format(instead="use Relu, Sigmoid, Tanh, Gelu or Erf")

REFUSED = {
    **dict.fromkeys(
        ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "ConvInteger"),
        _QUANTISED,
    ),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Loop", "Scan", "If", "SequenceMap"), _HIDDEN_LOOP),
    **dict.fromkeys(
        (
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
            "Bernoulli",
            "Multinomial",
        ),
        _RANDOM,
    ),
    **dict.fromkeys(("Elu", "Selu", "Celu"), _EXP),
    **dict.fromkeys(("Softplus", "Mish", "Log", "Sin", "Cos", "Asin", "Acos", "Atan"), _NONE),
}
