// RUN: furiosa-opt %s -p "assign-target{npu=warboy},fuse-kernels,assign-views,plan-tiles" | filecheck %s

// A transpose into the pool's layout costs nothing: the argument is read under another view.

func.func private @npu_0(%x : tensor<1x4x6x2xi8>) -> tensor<1x2x4x6xi8> attributes {graph.placement = "npu"} {
  %t = ftensor.transpose %x {perm = array<i64: 0, 3, 1, 2>} : tensor<1x2x4x6xi8>
  %y = ftensor.reduce_window %t {kind = "max", layout = "NCHW", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x2x4x6xi8>
  func.return %y : tensor<1x2x4x6xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         allocation = allocation(kind = "argument", index = 0, offset = 0, strides = (0, 12, 2, 1), size = 48, runs = ()), images = 1
// CHECK:         allocation = allocation(kind = "result", index = 0, offset = 0, strides = (0, 6, 1, 24), size = 48, runs = ()), images = 1
// CHECK-NOT:     warboy.copy
// CHECK:         [[T:%.+]] = ftensor.transpose %x
// CHECK-NEXT:    warboy.pool %x_1 = [[T]] {views = #warboy.views<("NCHW") -> "NCHW">,
// CHECK-NEXT:    plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 4, 6, 2), stage = none)),
// CHECK-NEXT:    result = operand_binding(buffer = 1,

// A reshape that no view expresses is an alias of the operand's bytes in DRAM: nothing moves.

func.func private @npu_1(%x : tensor<2x6xi8>) -> tensor<3x4xi8> attributes {graph.placement = "npu"} {
  %t = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  %r = ftensor.reshape %x : tensor<3x4xi8>
  %y = ftensor.rescale %r, %t, %s {rounding = "even"} : tensor<3x4xi8>
  func.return %y : tensor<3x4xi8>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK:         allocation = allocation(kind = "alias", index = 0, offset = 0, strides = (0, 4, 0, 1), size = 0, runs = ())
// CHECK:         warboy.copy {{%.+}} = %x {views = {{[^{}]*}}, plan = #warboy.plan<copy_plan(operands = (0), result = 1, moves = ())>}
// CHECK:         warboy.vector

// A reshape of transposed elements is an alias of nothing: what makes them stores them in its order.

func.func private @npu_2(%x : tensor<1x2x4x6xi8>) -> tensor<8x6xi8> attributes {graph.placement = "npu"} {
  %m = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  %y = ftensor.reduce_window %x {kind = "max", layout = "NCHW", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x2x4x6xi8>
  %t = ftensor.transpose %y {perm = array<i64: 0, 2, 3, 1>} : tensor<1x4x6x2xi8>
  %r = ftensor.reshape %t : tensor<8x6xi8>
  %z = ftensor.rescale %r, %m, %s {rounding = "even"} : tensor<8x6xi8>
  func.return %z : tensor<8x6xi8>
}
// CHECK-LABEL: func.func private @npu_2
// CHECK:         warboy.pool
// CHECK:         warboy.copy
// CHECK:         copy_plan({{.*}} moves = ())>}
// CHECK:         warboy.vector
