// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The greatest stored element, requantised if the scales differ.
//
// Here they do: a table behind the window's maximum.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x4x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.max_pool %x {layout = "NCHW", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce_window %x {kind = "max", layout = "NCHW", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x2x2x2xi8>
// CHECK-NEXT:    %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y_1 = ftensor.lookup %y, %y_table : tensor<1x2x2x2xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x2x2x2xi8>
// CHECK:       #y_table = #graph.blob<"225b7e1663db734e5a72738b16587241dbbd621c5e35d2794ad70a4f8dc4dd80">
