// RUN: furiosa-opt %s -p fuse-kernels | filecheck %s

// Two axes that no four dimensions can tell from their neighbours: one after another.

func.func private @npu_0(%x : tensor<2x3x4x5x6xi8>) -> tensor<2x1x4x1x6xi32> attributes {graph.placement = "npu"} {
  %y = ftensor.reduce %x {kind = "sum", axes = array<i64: 1, 3>, x_zp = 3} : tensor<2x1x4x1x6xi32>
  func.return %y : tensor<2x1x4x1x6xi32>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         ftensor.reduce {{.*}} {kind = "sum", axes = array<i64: 1>, x_zp = 3} : tensor<2x1x4x5x6xi32>
// CHECK:         ftensor.reduce {{.*}} {kind = "sum", axes = array<i64: 3>} : tensor<2x1x4x1x6xi32>

// Operands that are broadcast along every other axis: written out beforehand.

func.func private @npu_1(%a : tensor<2x1x4x1x6xi8>, %b : tensor<2x3x4x5x6xi8>) -> tensor<2x3x4x5x6xi8> attributes {graph.placement = "npu"} {
  %y = ftensor.maximum %a, %b : tensor<2x3x4x5x6xi8>
  func.return %y : tensor<2x3x4x5x6xi8>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK:         [[WIDE:%.+]] = ftensor.broadcast %a
// CHECK:         warboy.vector {{%.+}} = [[WIDE]], {{%.+}} = %b

// Neighbours that are reduced together fold into one dimension: one instruction.

func.func private @npu_2(%x : tensor<2x3x4x5x6xi8>) -> tensor<2x3x1x1x6xi32> attributes {graph.placement = "npu"} {
  %y = ftensor.reduce %x {kind = "sum", axes = array<i64: 2, 3>} : tensor<2x3x1x1x6xi32>
  func.return %y : tensor<2x3x1x1x6xi32>
}
// CHECK-LABEL: func.func private @npu_2
// CHECK:         ftensor.reduce {{.*}} {kind = "sum", axes = array<i64: 2, 3>
