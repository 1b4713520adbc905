// SPDX-License-Identifier: BSD-3-Clause

// The module path is that of what this package stands in for: Go lets a folder replace a module only if
// both have the same path.
module github.com/containerd/go-cni

go 1.19

require github.com/containernetworking/cni v1.1.2
