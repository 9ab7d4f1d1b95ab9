// RUN: furiosa-opt %s -p graph-partition | filecheck %s

"graph.variable"() <{sym_name = "count", type = tensor<4x!quant.uniform<i8:f32, 0.5>>, initial = #graph.blob<i8 [4] (1, 2, 3, 4)>}> : () -> ()
"graph.variable"() <{sym_name = "other", type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}> : () -> ()
"graph.variable"() <{sym_name = "unread", type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}> : () -> ()
"graph.variable"() <{sym_name = "temporary", type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}> : () -> ()
func.func @main(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>, %f: tensor<4xf32>) -> (tensor<4x!quant.uniform<i8:f32, 0.5>>, tensor<4xf32>) {
  %a = "graph.read_variable"() <{variable = @count}> : () -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  %b = "graph.add"(%a, %x) : (tensor<4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  "graph.assign_variable"(%x) <{variable = @count}> : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> ()
  "graph.assign_variable"(%b) <{variable = @count}> : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> ()
  %c = "graph.read_variable"() <{variable = @count}> : () -> tensor<4x!quant.uniform<i8:f32, 0.25>>
  %d = "graph.relu"(%c) : (tensor<4x!quant.uniform<i8:f32, 0.25>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  "graph.assign_variable"(%f) <{variable = @temporary}> : (tensor<4xf32>) -> ()
  %e = "graph.read_variable"() <{variable = @temporary}> : () -> tensor<4xf32>
  %h = "graph.read_variable"() <{variable = @unread}> : () -> tensor<4xf32>
  "graph.assign_variable"(%f) <{variable = @unread}> : (tensor<4xf32>) -> ()
  %g = "graph.read_variable"() <{variable = @other}> : () -> tensor<4xf32>
  "graph.assign_variable"(%e) <{variable = @other}> : (tensor<4xf32>) -> ()
  func.return %d, %g : tensor<4x!quant.uniform<i8:f32, 0.5>>, tensor<4xf32>
}
// What is assigned and read in one run is a value, and no state.
// CHECK:       sym_name = "count"
// CHECK-NEXT:  sym_name = "other"
// CHECK-NOT:   temporary
// CHECK-NOT:   unread
// CHECK:       func.func private @npu_0(
// CHECK-NEXT:    %b = "graph.add"
// CHECK-NEXT:    %[[CAST:.*]] = "graph.storage_cast"(%b) {{.*}} -> tensor<4x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    %d = "graph.relu"(%[[CAST]])
// CHECK-NEXT:    func.return %b, %d
// CHECK:       func.func @main(%x: {{.*}}, %f: {{.*}}) -> {{.*}} {
// CHECK-NEXT:    %a = "graph.read_variable"() <{variable = @count}>
// CHECK-NEXT:    %g = "graph.read_variable"() <{variable = @other}>
// CHECK-NEXT:    %[[B:.*]], %[[D:.*]] = func.call @npu_0(%a, %x)
// CHECK-NEXT:    "graph.assign_variable"(%[[B]]) <{variable = @count}>
// CHECK-NEXT:    "graph.assign_variable"(%f) <{variable = @other}>
// CHECK-NEXT:    func.return %[[D]], %g
