package fs

import (
	"context"
	"sync"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// backings keeps our count of the open modes of an inode in step with
// go-fuse's count of the uses of its backing file. go-fuse v2.12.1 adds a use
// after our OPEN, and takes one away after our RELEASE, whether the handle had
// one or not: what comes in between could lose the backing file that it was
// just given (the kernel answers EIO), or be given that of the version before.
type backings struct {
	fuse.RawFileSystem

	// step is locked from where a mode is chosen or given back until go-fuse
	// has followed: it is unlocked in the methods below. Nothing waits for the
	// server meanwhile.
	step sync.Mutex

	mu       sync.Mutex
	stepping map[<-chan struct{}]struct{} // RELEASEs that hold step, by their cancel channel; guarded by mu
}

// Open implements fuse.RawFileSystem.
func (b *backings) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	code := b.RawFileSystem.Open(cancel, in, out)
	if code.Ok() {
		b.step.Unlock()
	}
	return code
}

// Create implements fuse.RawFileSystem.
func (b *backings) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	code := b.RawFileSystem.Create(cancel, in, name, out)
	if code.Ok() {
		b.step.Unlock()
	}
	return code
}

// Release implements fuse.RawFileSystem. It cannot be interrupted, so that its
// channel can serve as its name.
func (b *backings) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	call := make(chan struct{})
	b.RawFileSystem.Release(call, in)
	b.followed(call)
}

// followed ends the step of giveBack with the cancel channel call, if it began one.
func (b *backings) followed(call <-chan struct{}) {
	b.mu.Lock()
	_, stepping := b.stepping[call]
	delete(b.stepping, call)
	b.mu.Unlock()
	if stepping {
		b.step.Unlock()
	}
}

// giveBack runs fn, which gives back the mode of the handle that the RELEASE
// of ctx is about.
func (b *backings) giveBack(ctx context.Context, fn func()) {
	b.mu.Lock()
	b.stepping[ctx.Done()] = struct{}{}
	b.mu.Unlock()
	b.step.Lock()
	fn()
}

// serve mounts m, as gofs.Mount does.
func (m *Mount) serve() (*fuse.Server, error) {
	o := m.fuseOptions()
	m.backings = &backings{RawFileSystem: gofs.NewNodeFS(m.root, o), stepping: make(map[<-chan struct{}]struct{})}
	server, err := fuse.NewServer(m.backings, m.o.Mountpoint, &o.MountOptions)
	if err != nil {
		return nil, err
	}
	go server.Serve()
	return server, server.WaitMount()
}
