// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

func.func @head(%x : tensor<2xi8>) -> tensor<2xi8> {
  // expected-error @+1 {{warboy.dot: the body does not begin with ftensor.conv or ftensor.matmul}}
  %0 = warboy.dot %a = %x : tensor<2xi8> {
    warboy.yield %a
  }
  func.return %0 : tensor<2xi8>
}

// -----

func.func @body(%x : tensor<2xi8>) -> tensor<2x1xi8> {
  // expected-error @+1 {{warboy.vector: ftensor.reshape in the body}}
  %0 = warboy.vector %a = %x : tensor<2x1xi8> {
    %1 = ftensor.reshape %a : tensor<2x1xi8>
    warboy.yield %1
  }
  func.return %0 : tensor<2x1xi8>
}

// -----

func.func @arguments(%x : tensor<2xi8>) -> tensor<2xi8> {
  // expected-error @+1 {{warboy.vector: block arguments differ from the operands}}
  %0 = warboy.vector %x : tensor<2xi8> {
  ^bb0(%a : tensor<2xi8>, %b : tensor<2xi8>):
    warboy.yield %a
  }
  func.return %0 : tensor<2xi8>
}
