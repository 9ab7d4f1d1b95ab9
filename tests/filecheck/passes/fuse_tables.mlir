// RUN: furiosa-opt %s -p graph-fuse-tables | filecheck %s

func.func @silu(%x : tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.25>> {
  %0 = graph.sigmoid %x : tensor<8x!quant.uniform<i8:f32, 0.00390625:-128>>
  %1 = graph.mul %x, %0 : tensor<8x!quant.uniform<i8:f32, 0.25>>
  func.return %1 : tensor<8x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @silu
// CHECK:         graph.table %x
// CHECK-SAME:    function = "mul(x, sigmoid(x))"
// CHECK-NEXT:    func.return

// One operator of one value is a table for the backend anyway.
func.func @alone(%x : tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.25>> {
  %0 = graph.tanh %x : tensor<8x!quant.uniform<i8:f32, 0.25>>
  func.return %0 : tensor<8x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @alone
// CHECK:         graph.tanh %x

func.func @broadcast(%x : tensor<4x8x!quant.uniform<i8:f32, 0.5>>, %y : tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x8x!quant.uniform<i8:f32, 0.25>> {
  %0 = graph.mul %x, %y : tensor<4x8x!quant.uniform<i8:f32, 0.25>>
  func.return %0 : tensor<4x8x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @broadcast
// CHECK:         graph.mul %x, %y
