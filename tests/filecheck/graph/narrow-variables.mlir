// RUN: furiosa-opt %s -p graph-partition | filecheck %s

"graph.variable"() <{sym_name = "v", type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}> : () -> ()
func.func @main(%x: tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x!quant.uniform<i8:f32, 0.5:3>> {
  %a = "graph.read_variable"() <{variable = @v}> : () -> tensor<4xf32>
  %q = "graph.quantize"(%a) : (tensor<4xf32>) -> tensor<4x!quant.uniform<i8:f32, 0.5:3>>
  %b = "graph.add"(%q, %x) : (tensor<4x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x!quant.uniform<i8:f32, 0.5:3>>
  %f = "graph.dequantize"(%b) : (tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4xf32>
  "graph.assign_variable"(%f) <{variable = @v}> : (tensor<4xf32>) -> ()
  func.return %b : tensor<4x!quant.uniform<i8:f32, 0.5:3>>
}
// CHECK:       type = tensor<4x!quant.uniform<i8:f32, 0.5:3>>, initial = #graph.blob<i8 [4] (3, 3, 3, 3)>
// CHECK-NOT:   host_
// CHECK:       func.func private @npu_0(
// CHECK-NEXT:    %b = "graph.add"(%0, %1)
// CHECK:       func.func @main(
// CHECK-NEXT:    %[[Q:.*]] = "graph.read_variable"() <{variable = @v}> : () -> tensor<4x!quant.uniform<i8:f32, 0.5:3>>
// CHECK-NEXT:    %[[B:.*]] = func.call @npu_0(%[[Q]], %x)
// CHECK-NEXT:    "graph.assign_variable"(%[[B]]) <{variable = @v}>
