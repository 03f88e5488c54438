// Package fs is the FUSE file system: a go-fuse node tree. Each kernel call
// becomes one or two calls on fs/tree (names, attributes) and fs/transfer
// (bytes); errno.go turns their errors into errnos. It is the only package
// that knows go-fuse.
//
// A node knows its parent and its name, never its path: that is computed when
// it is needed, so that renames of directories above it need no care.
//
// # Locking
//
// Mount.names guards the parents and names of all nodes and node.mu the rest
// of a node. Both are leaves: nothing is called while they are held.
package fs
