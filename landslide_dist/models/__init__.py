"""Models: compact planes -> channels -> logits.

``encoder``         codes and continuous planes to channels, uphill gathering
``event_encoder``   image pairs and elevation to channels; ``terrain`` slope and hillshade there
``pixel``, ``unet``, ``resunet`` networks on the channels; ``blocks`` is what they share
``susceptibility``  encoder + network as one model, and how far it looks
``chip``            classifiers of image chips; ``backbone`` networks trained on ImageNet
                    (``resnet50``, ``efficientnet_lite0``)
``constant``        the baselines without weights
``recipe``          what a model is made from
``build``           name -> model
``checkpoint``      model <-> file
``export``          model -> torch.export and ONNX
"""

from landslide_dist.models.build import aligned_features, build_model, reach_of
from landslide_dist.models.susceptibility import EncodedModel, SusceptibilityModel

__all__ = ["EncodedModel", "SusceptibilityModel", "aligned_features", "build_model", "reach_of"]
