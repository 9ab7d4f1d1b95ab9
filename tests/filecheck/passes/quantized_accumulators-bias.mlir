// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// The bias becomes i32 in units of x_scale * weight_scale, if it is a multiple of that;
// else it is added to the accumulator before that is rounded.

func.func @multiple(%x : tensor<2x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x2x!quant.uniform<i8:f32, 1.0>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32:0, {0.5, 0.25}>>
  %b = graph.constant #graph.blob<f32 [2] (1.0, 2.0)> : tensor<2xf32>
  %0 = graph.dequantize %x : tensor<2x2xf32>
  %1 = graph.dequantize %w : tensor<2x2xf32>
  %2 = graph.gemm %0, %1, %b {trans_b = 1} : tensor<2x2xf32>
  %3 = graph.quantize %2 : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  func.return %3 : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
}
// CHECK-LABEL: func.func @multiple
// CHECK:         [[B:%.+]] = graph.constant #graph.blob<i32 [2] (4, 16)> : tensor<2x!quant.uniform<i32:f32:0, {0.25, 0.125}>>
// CHECK:         graph.gemm %x, %w, [[B]]
// CHECK-SAME:      : tensor<2x2x!quant.uniform<i8:f32, 1.0>>

func.func @no_multiple(%x : tensor<2x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x2x!quant.uniform<i8:f32, 1.0>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  %b = graph.constant #graph.blob<f32 [2] (0.3, 0.4)> : tensor<2xf32>
  %0 = graph.dequantize %x : tensor<2x2xf32>
  %1 = graph.dequantize %w : tensor<2x2xf32>
  %2 = graph.gemm %0, %1, %b {trans_b = 1} : tensor<2x2xf32>
  %3 = graph.quantize %2 : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  func.return %3 : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
}
// CHECK-LABEL: func.func @no_multiple
// CHECK:         [[ACC:%.+]] = graph.gemm %x, %w {{.*}} : tensor<2x2x!quant.uniform<i32:f32, 0.25>>
// CHECK-NEXT:    graph.affine [[ACC]] {factor = #graph.blob<f64 [1] (1.0)>, offset = #graph.blob<f64 [2] (0.30000001192092896, 0.4000000059604645)>}
// CHECK-NEXT:      : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
// CHECK-NEXT:    func.return
