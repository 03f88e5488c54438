package fs

import (
	"context"
	"errors"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"ftpfs/fs/transfer"
)

var _ gofs.NodeCopyFileRanger = (*node)(nil)

// CopyFileRange has the server copy a whole file into one that is empty. The
// kernel copies everything else by itself: at EOPNOTSUPP this time, at ENOSYS
// it never asks again. It has looked at the sizes, and asks for 2 GiB at most.
func (n *node) CopyFileRange(ctx context.Context, fhIn gofs.FileHandle, offIn uint64, _ *gofs.Inode, fhOut gofs.FileHandle, offOut uint64, size uint64, _ uint64) (uint32, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	in, out := handleOf(fhIn), handleOf(fhOut)
	if in == nil || out == nil || offIn != 0 || offOut != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	err := out.t.CopyFrom(ctx, in.t, int64(size))
	switch {
	case err == nil:
		return uint32(size), 0
	case errors.Is(err, transfer.ErrNoCopy) && errors.Is(err, errors.ErrUnsupported):
		return 0, syscall.ENOSYS
	case errors.Is(err, transfer.ErrNoCopy):
		return 0, syscall.EOPNOTSUPP
	}
	return 0, n.errno("copy", err)
}
