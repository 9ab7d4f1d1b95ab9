// RUN: furiosa-opt %s -p graph-compose-movement | filecheck %s

// Transposes and reshapes in a row are one; what moves nothing goes.

func.func @chain(%x : tensor<1x2x2x2xf32>) -> tensor<8xf32> {
  %1 = graph.transpose %x {perm = array<i64: 0, 2, 3, 1>} : tensor<1x2x2x2xf32>
  %2 = graph.transpose %1 {perm = array<i64: 0, 3, 1, 2>} : tensor<1x2x2x2xf32>
  %3 = graph.reshape %2 : tensor<1x8xf32>
  %4 = graph.reshape %3 : tensor<8xf32>
  func.return %4 : tensor<8xf32>
}
// CHECK-LABEL: func.func @chain
// CHECK:         [[R:%.+]] = graph.reshape %x
// CHECK-NEXT:    func.return [[R]]

func.func @rotation(%x : tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
  %1 = graph.transpose %x {perm = array<i64: 1, 2, 0>} : tensor<3x4x2xf32>
  %2 = graph.transpose %1 {perm = array<i64: 1, 2, 0>} : tensor<4x2x3xf32>
  func.return %2 : tensor<4x2x3xf32>
}
// CHECK-LABEL: func.func @rotation
// CHECK:         graph.transpose %x {perm = array<i64: 2, 0, 1>}

func.func @only_ones_move(%x : tensor<1x5x1x4xf32>) -> tensor<1x1x5x4xf32> {
  %1 = graph.transpose %x {perm = array<i64: 0, 2, 1, 3>} : tensor<1x1x5x4xf32>
  func.return %1 : tensor<1x1x5x4xf32>
}
// CHECK-LABEL: func.func @only_ones_move
// CHECK:         graph.reshape %x

func.func @nothing(%x : tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %1 = graph.slice %x {starts = array<i64: 0>, ends = array<i64: 4>} : tensor<4xf32>
  %2 = graph.slice %x {starts = array<i64: 3>, ends = array<i64: -1>, steps = array<i64: -1>} : tensor<4xf32>
  func.return %1, %2 : tensor<4xf32>, tensor<4xf32>
}
// CHECK-LABEL: func.func @nothing
// CHECK:         [[S:%.+]] = graph.slice %x
// CHECK-NEXT:    func.return %x, [[S]]
