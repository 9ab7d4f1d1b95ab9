// RUN: furiosa-opt %s -p graph-partition | filecheck %s

// A variable whose elements only stand for integers is stored as such: no host segment is left.

graph.variable @v {type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}
func.func @main(%x: tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x!quant.uniform<i8:f32, 0.5:3>> {
  %a = graph.read_variable @v : tensor<4xf32>
  %q = graph.quantize %a : tensor<4x!quant.uniform<i8:f32, 0.5:3>>
  %b = graph.add %q, %x : tensor<4x!quant.uniform<i8:f32, 0.5:3>>
  %f = graph.dequantize %b : tensor<4xf32>
  graph.assign_variable @v, %f
  func.return %b : tensor<4x!quant.uniform<i8:f32, 0.5:3>>
}
// CHECK:       type = tensor<4x!quant.uniform<i8:f32, 0.5:3>>, initial = #graph.blob<i8 [4] (3, 3, 3, 3)>
// CHECK-NOT:   host_
// CHECK:       func.func private @npu_0(
// CHECK:         %b = graph.add {{%.+}}, {{%.+}}
// CHECK:       func.func @main(
// CHECK:         %[[Q:.*]] = graph.read_variable @v : tensor<4x!quant.uniform<i8:f32, 0.5:3>>
// CHECK-NEXT:    %[[B:.*]] = func.call @npu_0(%[[Q]], %x)
// CHECK:         graph.assign_variable @v, %[[B]]
