// RUN: furiosa-opt %s -p graph-fold-constants | filecheck %s

// What is computed of constants alone is a constant: small ones stand in the text.

func.func @weights() -> tensor<2x!quant.uniform<i8:f32, 0.5>> {
  %0 = graph.constant #graph.blob<f32 [2] (1.0, 2.25)> : tensor<2xf32>
  %1 = graph.quantize %0 : tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return %1 : tensor<2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @weights
// CHECK:         graph.constant #graph.blob<i8 [2] (2, 4)> : tensor<2x!quant.uniform<i8:f32, 0.5>>

func.func @transposed() -> tensor<3x2x!quant.uniform<i8:f32, 0.5>> {
  %0 = graph.constant #graph.blob<i8 [2, 3] (1, 2, 3, 4, 5, 6)> : tensor<2x3x!quant.uniform<i8:f32, 0.5>>
  %1 = graph.transpose %0 {perm = array<i64: 1, 0>} : tensor<3x2x!quant.uniform<i8:f32, 0.5>>
  func.return %1 : tensor<3x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @transposed
// CHECK:         graph.constant #graph.blob<i8 [3, 2] (1, 4, 2, 5, 3, 6)>

func.func @channels() -> tensor<2x2xf32> {
  %0 = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32:0, {0.5, 0.25}>>
  %1 = graph.dequantize %0 : tensor<2x2xf32>
  %2 = graph.transpose %1 {perm = array<i64: 1, 0>} : tensor<2x2xf32>
  func.return %2 : tensor<2x2xf32>
}
// CHECK-LABEL: func.func @channels
// CHECK:         [[W:%.+]] = graph.constant #graph.blob<i8 [2, 2] (1, 3, 2, 4)> : tensor<2x2x!quant.uniform<i8:f32:1, {0.5, 0.25}>>
// CHECK-NEXT:    graph.dequantize [[W]]
