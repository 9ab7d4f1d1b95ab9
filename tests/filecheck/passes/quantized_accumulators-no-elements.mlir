// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// A product without elements and what follows behind a reshape: constants there say nothing of channels, and both stay apart.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<0x2x3x!quant.uniform<i8:f32, 0.5>> {graph.name = "x"}) -> tensor<0x1x2x3x!quant.uniform<i8:f32, 0.5>> {
    %real = graph.dequantize %x : tensor<0x2x3xf32>
    %stored = graph.constant #graph.blob<i8 [2, 2, 1] (1, 2, 3, 4)> : tensor<2x2x1x!quant.uniform<i8:f32, 0.25>>
    %weight = graph.dequantize %stored : tensor<2x2x1xf32>
    %product = graph.conv %real, %weight {layout = "NCW", kernel_layout = "OIW"} : tensor<0x2x3xf32>
    %moved = graph.reshape %product {shape = array<i64: 0, 1, 2, 3>} : tensor<0x1x2x3xf32>
    %factors = graph.constant #graph.blob<f32 [2, 1] (0.5, 0.25)> : tensor<2x1xf32>
    %scaled = graph.mul %moved, %factors : tensor<0x1x2x3xf32>
    %y = graph.quantize %scaled : tensor<0x1x2x3x!quant.uniform<i8:f32, 0.5>>
    func.return %y : tensor<0x1x2x3x!quant.uniform<i8:f32, 0.5>>
  }
}

// CHECK: graph.reshape
// CHECK: graph.quantize
