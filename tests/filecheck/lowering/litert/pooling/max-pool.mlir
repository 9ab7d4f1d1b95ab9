// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// MAX_POOL_2D.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.max_pool %x {layout = "NHWC", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x2x2x2xi8>
// CHECK-NEXT:    func.return %y : tensor<1x2x2x2xi8>
