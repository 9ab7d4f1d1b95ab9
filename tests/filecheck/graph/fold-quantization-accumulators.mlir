// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// The accumulator itself is the result: i32 leaves the operator.

func.func @accumulator(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i32:f32, 1.0>> {
  %w = "graph.constant"() <{value = #graph.blob<i8 [2, 2] (1, 2, 3, 4)>}> : () -> tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %0 = "graph.dequantize"(%x) : (tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2xf32>
  %1 = "graph.dequantize"(%w) : (tensor<2x2x!quant.uniform<i8:f32, 1.0>>) -> tensor<2x2xf32>
  %2 = "graph.mat_mul"(%0, %1) : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %3 = "graph.quantize"(%2) : (tensor<2x2xf32>) -> tensor<2x2x!quant.uniform<i32:f32, 1.0>>
  func.return %3 : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
}
// CHECK-LABEL: func.func @accumulator
// CHECK:         "graph.mat_mul"(%x, %{{.*}}) : {{.*}} -> tensor<2x2x!quant.uniform<i32:f32, 1.0>>
// CHECK-NEXT:    func.return

// What scales it joins the weight's scale: one quantised operator.

func.func @scaled(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>> {
  %w = "graph.constant"() <{value = #graph.blob<i8 [2, 2] (1, 2, 3, 4)>}> : () -> tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %c = "graph.constant"() <{value = #graph.blob<f32 [2] (0.25, 0.125)>}> : () -> tensor<2xf32>
  %0 = "graph.mat_mul"(%x, %w) : (tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>, tensor<2x2x!quant.uniform<i8:f32, 1.0>>) -> tensor<2x2x!quant.uniform<i32:f32, 1.0>>
  %1 = "graph.dequantize"(%0) : (tensor<2x2x!quant.uniform<i32:f32, 1.0>>) -> tensor<2x2xf32>
  %2 = "graph.mul"(%1, %c) : (tensor<2x2xf32>, tensor<2xf32>) -> tensor<2x2xf32>
  %3 = "graph.quantize"(%2) : (tensor<2x2xf32>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %3 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @scaled
// CHECK:         "graph.constant"() <{value = #graph.blob<i8 [2, 2] (1, 2, 3, 4)>}> : () -> tensor<2x2x!quant.uniform<i8:f32:1, {0.25, 0.125}>>
// CHECK-NEXT:    "graph.mat_mul"(%x, %{{.*}}) : {{.*}} -> tensor<2x2x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT:    func.return
