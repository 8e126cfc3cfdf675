"""Geometries by the names that ft-bench gives them, as frozen Hugging Face models of random bf16 weights."""
import importlib

import torch
import transformers

LLAMA = dict(family="llama", vocab_size=128256, num_key_value_heads=8, head_dim=128, rms_norm_eps=1e-5, theta=500000.0)
QWEN3 = dict(family="qwen3", vocab_size=151936, num_key_value_heads=8, head_dim=128, rms_norm_eps=1e-6, theta=1e6)


def sizes(hidden, ffn, layers, heads):
    return dict(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads)


GEOMETRIES = {
    "llama3-8b": LLAMA | sizes(4096, 14336, 32, 32),
    "llama3-70b": LLAMA | sizes(8192, 28672, 80, 64),
    "llama3-405b": LLAMA | sizes(16384, 53248, 126, 128),
    "qwen2.5-32b": LLAMA | sizes(5120, 27648, 64, 40) | dict(family="qwen2", vocab_size=152064, theta=1e6),
    "qwen3-8b": QWEN3 | sizes(4096, 12288, 36, 32),
    "qwen3-32b": QWEN3 | sizes(5120, 25600, 64, 64),
    "smollm2-135m": LLAMA | sizes(576, 1536, 30, 9) | dict(num_key_value_heads=3, head_dim=64, vocab_size=49152, theta=1e5),
}
CLASSES = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}


def make_config(name, layers=0):
    geometry = dict(GEOMETRIES[name])
    prefix = CLASSES[geometry.pop("family")]
    theta = geometry.pop("theta")
    if layers:
        geometry["num_hidden_layers"] = layers
    config = getattr(transformers, prefix + "Config")(
        max_position_embeddings=131072, rope_parameters={"rope_theta": theta, "rope_type": "default"}, tie_word_embeddings=False,
        use_cache=False, **geometry)
    config._attn_implementation = "sdpa"
    return config


def family_of(name):
    return GEOMETRIES[name]["family"]


def modeling_of(name):
    """The module whose classes a model of this geometry is made of, and the prefix of their names."""
    family = family_of(name)
    return importlib.import_module(f"transformers.models.{family}.modeling_{family}"), CLASSES[family]


def random_tensor(key, shape, device):
    """The parameter of that name: a norm is 1, a bias 0, the rest normal with deviation 0.02, in bf16."""
    tensor = torch.empty(shape, dtype=torch.bfloat16, device=device)
    if key.endswith("bias"):
        return tensor.zero_()
    return tensor.fill_(1) if tensor.dim() == 1 else tensor.normal_(0, 0.02)


def empty_model(name, layers, device):
    """A model whose parameters are on the meta device, and whose rotary table is real."""
    module, prefix = modeling_of(name)
    config = make_config(name, layers)
    with torch.device("meta"):
        model = getattr(module, prefix + "ForCausalLM")(config).to(torch.bfloat16)
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    return model


def set_parameter(model, key, parameter):
    owner, _, leaf = key.rpartition(".")
    setattr(model.get_submodule(owner), leaf, parameter)


def random_weights(name, layers, device):
    """Every parameter of the model by name, frozen."""
    parameters = empty_model(name, layers, "cpu").named_parameters()
    return {key: torch.nn.Parameter(random_tensor(key, p.shape, device), requires_grad=False) for key, p in parameters}


def make_model(name, layers, weights, device):
    """A model over existing weights: nothing is copied, so many may be made in turn."""
    model = empty_model(name, layers, device)
    for key, parameter in weights.items():
        set_parameter(model, key, parameter)
    return model
