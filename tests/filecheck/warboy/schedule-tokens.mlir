// RUN: furiosa-opt %s -p "assign-target{npu=warboy},fuse-kernels,assign-views,plan-tiles,allocate,schedule" | filecheck %s

// Each engine waits for the other only where bytes of SRAM pass between them.
// The result may take the bytes of the argument, which is in SRAM by then.

func.func private @npu_0(%x : tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8> attributes {graph.placement = "npu"} {
  %y = "ftensor.reduce_window"(%x) <{kind = "max", layout = "NHWC", window = array<i64: 3, 3>, strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, x_zp = 0 : i64}> : (tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8>
  %z = "ftensor.reduce_window"(%y) <{kind = "max", layout = "NHWC", window = array<i64: 3, 3>, strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, x_zp = 0 : i64}> : (tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8>
  func.return %z : tensor<1x4x4x2xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK-SAME:    workspace_bytes = 64, inputs = (0), outputs = (0)
// CHECK:         [[L:%.+]] = "warboy.load"() <{command = #warboy.command<load(source = dram_tile(region = "workspace", address = 0
// CHECK-NEXT:    {{%.+}} = "warboy.execute_pool"([[L]]) <{command = #warboy.command<pool(
// CHECK-NEXT:    [[P:%.+]] = "warboy.execute_pool"() <{command = #warboy.command<pool(
// CHECK-NEXT:    {{%.+}} = "warboy.store"([[P]]) <{command = #warboy.command<store(
// CHECK-NEXT:    "warboy.end"() : () -> ()
