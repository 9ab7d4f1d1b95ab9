// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Each operand under the result's scale, one behind the other.
//
// %a has the result's scale already, %b goes through a table.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%a: tensor<1x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x3x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x5x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.concat %a, %b {axis = 1} : tensor<1x5x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x5x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %b, %y_table : tensor<1x3xi8>
// CHECK-NEXT:    %y_1 = ftensor.concat %a, %y {axis = 1} : tensor<1x5xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x5xi8>
// CHECK:       #y_table = #graph.blob<"f73cf9fdb3dd159506606cb6efeaea72c44800c99450d15d0c50843c600eb8d5">
