"""Trains the digits network and writes the bundled files.

From the project's root: pip install torch scikit-learn && python -m examples.digits.train
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from examples.digits.export_onnx import write_onnx
from examples.digits.export_tflite import write_tflite
from examples.digits.network import load_split, train

FOLDER = Path(__file__).parent
CALIBRATION_IMAGES = 500


def main() -> None:
    """Writes digits_int8.tflite, digits_qdq_int8.onnx and digits_inputs.npz beside this file."""
    images, labels, held_out_images, held_out_labels = load_split()
    network = train(images, labels)
    calibration_images = images[:CALIBRATION_IMAGES]
    with torch.no_grad():
        predicted = network(torch.from_numpy(held_out_images)).argmax(1).numpy()
        activations = network.activations(torch.from_numpy(calibration_images))
    print(f"float accuracy on held-out images: {(predicted == held_out_labels).mean():.1%}")

    parameters = network.parameters_by_layer()
    (FOLDER / "digits_qdq_int8.onnx").write_bytes(write_onnx(parameters, calibration_images))
    tflite, input_quantization = write_tflite(
        parameters, {name: value.numpy() for name, value in activations.items()}
    )
    (FOLDER / "digits_int8.tflite").write_bytes(tflite)
    np.savez_compressed(
        FOLDER / "digits_inputs.npz",
        onnx_images=held_out_images,
        tflite_images=input_quantization.quantize(held_out_images.transpose(0, 2, 3, 1)),
        labels=held_out_labels,
    )


if __name__ == "__main__":
    main()
