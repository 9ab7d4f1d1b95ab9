// RUN: furiosa-opt %s -p graph-partition | filecheck %s

graph.variable @count {type = tensor<4x!quant.uniform<i8:f32, 0.5>>, initial = #graph.blob<i8 [4] (1, 2, 3, 4)>}
graph.variable @other {type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}
graph.variable @unread {type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}
graph.variable @temporary {type = tensor<4xf32>, initial = #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)>}
func.func @main(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>, %f: tensor<4xf32>) -> (tensor<4x!quant.uniform<i8:f32, 0.5>>, tensor<4xf32>) {
  %a = graph.read_variable @count : tensor<4x!quant.uniform<i8:f32, 0.5>>
  %b = graph.add %a, %x : tensor<4x!quant.uniform<i8:f32, 0.5>>
  graph.assign_variable @count, %x
  graph.assign_variable @count, %b
  %c = graph.read_variable @count : tensor<4x!quant.uniform<i8:f32, 0.25>>
  %d = graph.relu %c : tensor<4x!quant.uniform<i8:f32, 0.5>>
  graph.assign_variable @temporary, %f
  %e = graph.read_variable @temporary : tensor<4xf32>
  %h = graph.read_variable @unread : tensor<4xf32>
  graph.assign_variable @unread, %f
  %g = graph.read_variable @other : tensor<4xf32>
  graph.assign_variable @other, %e
  func.return %d, %g : tensor<4x!quant.uniform<i8:f32, 0.5>>, tensor<4xf32>
}
// What is assigned and read in one run is a value, and no state.
// CHECK:       graph.variable @count
// CHECK-NEXT:  graph.variable @other
// CHECK-NOT:   temporary
// CHECK-NOT:   unread
// CHECK:       func.func private @npu_0(
// CHECK:         %b = graph.add
// CHECK-NEXT:    %[[CAST:.*]] = graph.storage_cast %b : tensor<4x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    %d = graph.relu %[[CAST]]
// CHECK-NEXT:    func.return %b, %d
// CHECK:       func.func @main
// CHECK:         %a = graph.read_variable @count
// CHECK-NEXT:    %g = graph.read_variable @other
// CHECK-NEXT:    %[[B:.*]], %[[D:.*]] = func.call @npu_0(%a, %x)
// CHECK:         graph.assign_variable @count, %[[B]]
// CHECK-NEXT:    graph.assign_variable @other, %f
// CHECK-NEXT:    func.return %[[D]], %g
