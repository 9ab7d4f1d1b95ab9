// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{there is no operation 'graph.nothing'}}
%0 = "graph.nothing"() : () -> f32

// -----

// expected-error@+1 {{there is no dialect 'shlo'}}
%0 = "shlo.add"() : () -> f32

// -----

// expected-error@+1 {{unknown storage type 'i7'}}
func.func private @f(tensor<1x!quant.uniform<i7:f32, 0.5>>)

// -----

// expected-error@+1 {{narrowed storage range <-127:127> is not supported}}
func.func private @f(tensor<1x!quant.uniform<i8<-127:127>:f32, 0.5>>)

// -----

// expected-error@+1 {{3 elements do not fill the shape [2]}}
%0 = "graph.constant"() <{value = #graph.blob<i8 [2] (1, 2, 3)>}> : () -> tensor<2xi8>

// -----

// expected-error@+1 {{no constant 0123456789ab}}
%0 = "graph.constant"() <{value = #graph.blob<"0123456789abcdef">}> : () -> tensor<99xi8>

// -----

// expected-error@+2 {{has been previously used or defined with type}}
func.func @main(%x: tensor<1xf32>) {
  %0 = "graph.relu"(%x) : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}
