// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// A window for each part.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<2x2x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x4x!quant.uniform<i8:f32, 0.5:3>>) {
    %y, %z = graph.split %x {axis = 1, split = array<i64: 2, 4>} : (tensor<2x2x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x4x!quant.uniform<i8:f32, 0.5:3>>) loc("y")
    func.return %y, %z : tensor<2x2x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x4x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.slice %x {starts = array<i64: 0, 0>, ends = array<i64: 2, 2>} : tensor<2x2xi8>
// CHECK-NEXT:    %y_1 = ftensor.slice %x {starts = array<i64: 0, 2>, ends = array<i64: 2, 6>} : tensor<2x4xi8>
// CHECK-NEXT:    func.return %y, %y_1 : tensor<2x2xi8>, tensor<2x4xi8>
