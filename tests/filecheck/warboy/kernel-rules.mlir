// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

func.func @head(%x : tensor<2xi8>) -> tensor<2xi8> {
  // expected-error @+1 {{warboy.dot: the body does not begin with ftensor.conv or ftensor.matmul}}
  %0 = "warboy.dot"(%x) ({
  ^bb0(%a : tensor<2xi8>):
    "warboy.yield"(%a) : (tensor<2xi8>) -> ()
  }) : (tensor<2xi8>) -> tensor<2xi8>
  func.return %0 : tensor<2xi8>
}

// -----

func.func @body(%x : tensor<2xi8>) -> tensor<2x1xi8> {
  // expected-error @+1 {{warboy.vector: ftensor.reshape in the body}}
  %0 = "warboy.vector"(%x) ({
  ^bb0(%a : tensor<2xi8>):
    %1 = "ftensor.reshape"(%a) <{shape = array<i64: 2, 1>}> : (tensor<2xi8>) -> tensor<2x1xi8>
    "warboy.yield"(%1) : (tensor<2x1xi8>) -> ()
  }) : (tensor<2xi8>) -> tensor<2x1xi8>
  func.return %0 : tensor<2x1xi8>
}

// -----

func.func @arguments(%x : tensor<2xi8>) -> tensor<2xi8> {
  // expected-error @+1 {{warboy.vector: block arguments differ from the operands}}
  %0 = "warboy.vector"(%x) ({
  ^bb0(%a : tensor<3xi8>):
    "warboy.yield"(%a) : (tensor<3xi8>) -> ()
  }) : (tensor<2xi8>) -> tensor<2xi8>
  func.return %0 : tensor<2xi8>
}
