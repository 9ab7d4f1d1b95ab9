// RUN: furiosa-opt %s --split-input-file --verify-diagnostics -p "assign-target{npu=warboy},plan-tiles"

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NCHW"}) -> tensor<1x4x6x2xi8> attributes {graph.placement = "npu"} {
  // expected-error @+1 {{it has the views ("NCHW") -> "NCHW", and needs ("NHWC") -> "NHWC"}}
  %y = warboy.pool %a = %x {views = #warboy.views<("NCHW") -> "NCHW">} : tensor<1x4x6x2xi8> {
    %m = ftensor.reduce_window %a {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x6x2xi8>
    warboy.yield %m
  }
  func.return %y : tensor<1x4x6x2xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NCHW"}) -> tensor<1x4x6x2xi8> attributes {graph.placement = "npu"} {
  // expected-error @+1 {{it reads as "NHWC" what has the view "NCHW"}}
  %y = warboy.pool %a = %x {views = #warboy.views<("NHWC") -> "NHWC">} : tensor<1x4x6x2xi8> {
    %m = ftensor.reduce_window %a {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x6x2xi8>
    warboy.yield %m
  }
  func.return %y : tensor<1x4x6x2xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> tensor<1x2x4x6xi8> attributes {graph.placement = "npu"} {
  // expected-error @+1 {{ftensor.transpose: it is no view of its operand's buffer, nor a window}}
  %t = ftensor.transpose %x {perm = array<i64: 0, 3, 1, 2>} attributes {warboy.view = "NHWC"} : tensor<1x2x4x6xi8>
  %y = warboy.vector %a = %t {views = #warboy.views<("NHWC") -> "NHWC">} : tensor<1x2x4x6xi8> {
    warboy.yield %a
  }
  func.return %y : tensor<1x2x4x6xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> tensor<1x2x4x6xi8> attributes {graph.placement = "npu"} {
  // expected-error @+1 {{"NHNH" is no view of [1, 2, 4, 6]}}
  %t = ftensor.transpose %x {perm = array<i64: 0, 3, 1, 2>} attributes {warboy.view = "NHNH"} : tensor<1x2x4x6xi8>
  %y = warboy.vector %a = %t {views = #warboy.views<("NHWC") -> "NHWC">} : tensor<1x2x4x6xi8> {
    warboy.yield %a
  }
  func.return %y : tensor<1x2x4x6xi8>
}

// -----

// expected-error @+1 {{func.func: a tensor of shape [1, 4, 6, 2] has no 'warboy.view'}}
func.func private @npu_0(%x : tensor<1x4x6x2xi8>) -> tensor<1x4x6x2xi8> attributes {graph.placement = "npu"} {
  %y = warboy.vector %a = %x {views = #warboy.views<("NHWC") -> "NHWC">} : tensor<1x4x6x2xi8> {
    warboy.yield %a
  }
  func.return %y : tensor<1x4x6x2xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> tensor<1x8x6x2xi8> attributes {graph.placement = "npu"} {
  %k = "warboy.vector"(%x) <{views = #warboy.views<("NHWC") -> "NHWC">}> ({
  ^bb0(%a : tensor<1x4x6x2xi8>):
    "warboy.yield"(%a) : (tensor<1x4x6x2xi8>) -> ()
  }) : (tensor<1x4x6x2xi8>) -> tensor<1x4x6x2xi8>
  // expected-error @+1 {{ftensor.concat: a part is not written in place by a kernel}}
  %c = "ftensor.concat"(%k, %x) <{axis = 1 : i64}> {warboy.view = "NHWC"} : (tensor<1x4x6x2xi8>, tensor<1x4x6x2xi8>) -> tensor<1x8x6x2xi8>
  %y = "warboy.vector"(%c) <{views = #warboy.views<("NHWC") -> "NHWC">}> ({
  ^bb0(%a : tensor<1x8x6x2xi8>):
    "warboy.yield"(%a) : (tensor<1x8x6x2xi8>) -> ()
  }) : (tensor<1x8x6x2xi8>) -> tensor<1x8x6x2xi8>
  func.return %y : tensor<1x8x6x2xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> tensor<1x8x6x2xi8> attributes {graph.placement = "npu"} {
  %k = "warboy.vector"(%x) <{views = #warboy.views<("NHWC") -> "NHWC">}> ({
  ^bb0(%a : tensor<1x4x6x2xi8>):
    "warboy.yield"(%a) : (tensor<1x4x6x2xi8>) -> ()
  }) : (tensor<1x4x6x2xi8>) -> tensor<1x4x6x2xi8>
  // expected-error @+1 {{ftensor.concat: a part is not written in place by a kernel}}
  %c = "ftensor.concat"(%k, %k) <{axis = 1 : i64}> {warboy.view = "NHWC"} : (tensor<1x4x6x2xi8>, tensor<1x4x6x2xi8>) -> tensor<1x8x6x2xi8>
  %y = "warboy.vector"(%c) <{views = #warboy.views<("NHWC") -> "NHWC">}> ({
  ^bb0(%a : tensor<1x8x6x2xi8>):
    "warboy.yield"(%a) : (tensor<1x8x6x2xi8>) -> ()
  }) : (tensor<1x8x6x2xi8>) -> tensor<1x8x6x2xi8>
  func.return %y : tensor<1x8x6x2xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> (tensor<1x4x6x2xi8>, tensor<1x4x6x2xi8>) attributes {graph.placement = "npu"} {
  %y = "warboy.vector"(%x) <{views = #warboy.views<("NHWC") -> "NHWC">}> ({
  ^bb0(%a : tensor<1x4x6x2xi8>):
    "warboy.yield"(%a) : (tensor<1x4x6x2xi8>) -> ()
  }) : (tensor<1x4x6x2xi8>) -> tensor<1x4x6x2xi8>
  // expected-error @+1 {{func.return: result 1 is no kernel's, or not all of it}}
  func.return %y, %x : tensor<1x4x6x2xi8>, tensor<1x4x6x2xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> (tensor<1x4x6x2xi8>, tensor<1x4x6x2xi8>) attributes {graph.placement = "npu"} {
  %y = "warboy.vector"(%x) <{views = #warboy.views<("NHWC") -> "NHWC">}> ({
  ^bb0(%a : tensor<1x4x6x2xi8>):
    "warboy.yield"(%a) : (tensor<1x4x6x2xi8>) -> ()
  }) : (tensor<1x4x6x2xi8>) -> tensor<1x4x6x2xi8>
  // expected-error @+1 {{func.return: result 1 is no kernel's, or not all of it}}
  func.return %y, %y : tensor<1x4x6x2xi8>, tensor<1x4x6x2xi8>
}

// -----

func.func private @npu_0(%x : tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> tensor<1x4x6x2xi8> attributes {graph.placement = "npu"} {
  // expected-error @+1 {{it reads as none what has the view "NHWC"}}
  %y = "warboy.copy"(%x) <{views = #warboy.views<(none) -> "NHWC">}> ({
  ^bb0(%a : tensor<1x4x6x2xi8>):
    "warboy.yield"(%a) : (tensor<1x4x6x2xi8>) -> ()
  }) : (tensor<1x4x6x2xi8>) -> tensor<1x4x6x2xi8>
  func.return %y : tensor<1x4x6x2xi8>
}
