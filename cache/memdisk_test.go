package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errDead is what every call gives after the process died.
var errDead = errors.New("the process is dead")

// memDisk is a Disk in memory that can lose what was not synced. A process
// using it can be killed between any two operations, or within a write.
type memDisk struct {
	mu      sync.Mutex
	root    *inode
	ops     []nameOp // name changes that are not durable, oldest first
	locks   map[*inode]int
	writers map[*inode]int // files open for writing
	epoch   int            // files opened in another one are dead
	boot    int
	steps   int // operations that change something until the process dies; 0: it lives on
	dead    bool
	open    int    // files and locks of the living process that are not closed
	room    int64  // bytes that may still be written; negative: no limit
	files   int    // that may still be opened; negative: no limit
	cloning func() // nil, or called when a clone is about to be made
}

type inode struct {
	names   map[string]*inode // of a directory
	durable map[string]*inode
	dir     bool
	data    []byte
	synced  []byte
	mtime   time.Time
	mapped  bool // somebody else can write
}

// nameOp is one change of names, atomic: to is set and from is cleared.
type nameOp struct {
	from, to         *inode // directories
	fromName, toName string
	node             *inode
}

func newMemDisk() *memDisk {
	d := &memDisk{root: newDirNode(), locks: make(map[*inode]int), writers: make(map[*inode]int), room: -1, files: -1}
	return d
}

func newDirNode() *inode {
	return &inode{dir: true, names: make(map[string]*inode), durable: make(map[string]*inode)}
}

// step counts an operation that changes something; it says whether the process lives to do it.
func (d *memDisk) step() error {
	if d.dead {
		return errDead
	}
	if d.steps > 0 {
		if d.steps--; d.steps == 0 {
			d.dead = true
			return errDead
		}
	}
	return nil
}

// restart begins a process after the death of the last one. powerCut: names
// and bytes that were not synced are kept or lost as choose (a random number below n) decides.
func (d *memDisk) restart(powerCut bool, choose func(n int) int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead, d.steps = false, 0
	d.epoch++
	d.open = 0
	clear(d.locks)
	clear(d.writers)
	if !powerCut {
		return
	}
	d.boot++
	lost := make(map[*inode]bool) // directories that lose all later changes
	for _, op := range d.ops {
		if lost[op.from] || lost[op.to] || choose(3) == 0 {
			lost[op.from], lost[op.to] = true, true
			continue
		}
		op.commit()
	}
	delete(lost, nil)
	d.ops = nil
	d.root.revert(choose)
}

func (op nameOp) commit() {
	if op.from != nil {
		delete(op.from.durable, op.fromName)
	}
	if op.to != nil {
		op.to.durable[op.toName] = op.node
	}
}

// revert makes n what is durable. Bytes that are not synced may be there, or
// zeros, or what was there before.
func (n *inode) revert(choose func(int) int) {
	if n.dir {
		n.names = maps.Clone(n.durable)
		for _, name := range slices.Sorted(maps.Keys(n.names)) {
			n.names[name].revert(choose)
		}
		return
	}
	switch choose(4) {
	case 0: // all got through
	case 1:
		n.data = slices.Clone(n.synced)
	default:
		const block = 4
		data := slices.Clone(n.data)
		for off := 0; off < len(data); off += block {
			b := data[off:min(off+block, len(data))]
			old := make([]byte, len(b))
			if off < len(n.synced) {
				copy(old, n.synced[off:])
			}
			if !slices.Equal(b, old) && choose(2) == 0 {
				copy(b, old)
			}
		}
		if len(data) > len(n.synced) {
			data = data[:len(n.synced)+choose(len(data)-len(n.synced)+1)]
		}
		n.data = data
	}
	n.synced = slices.Clone(n.data)
}

// find returns the node called name.
func (d *memDisk) find(name string) (*inode, error) {
	n := d.root
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if part == "" {
			continue
		}
		if !n.dir {
			return nil, &fs.PathError{Op: "find", Path: name, Err: syscall.ENOTDIR}
		}
		next := n.names[part]
		if next == nil {
			return nil, &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
		}
		n = next
	}
	return n, nil
}

// change records a change of names and does it.
func (d *memDisk) change(op nameOp) {
	if op.from != nil {
		delete(op.from.names, op.fromName)
	}
	if op.to != nil {
		op.to.names[op.toName] = op.node
	}
	d.ops = append(d.ops, op)
}

func (d *memDisk) OpenFile(name string, flag int, _ fs.FileMode) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errDead
	}
	if d.files == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	dir, err := d.find(path.Dir(name))
	if err != nil {
		return nil, err
	}
	n := dir.names[path.Base(name)]
	switch {
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n == nil:
		if err := d.step(); err != nil {
			return nil, err
		}
		n = &inode{}
		d.change(nameOp{to: dir, toName: path.Base(name), node: n})
	case flag&os.O_TRUNC != 0:
		n.data = nil
	}
	d.open++
	d.files--
	f := &memFile{d, n, d.epoch, flag&(os.O_WRONLY|os.O_RDWR) == 0, false}
	if !f.readOnly {
		d.writers[n]++
	}
	return f, nil
}

func (d *memDisk) Mkdir(name string, _ fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, err := d.find(path.Dir(name))
	if err != nil {
		return err
	}
	if dir.names[path.Base(name)] != nil || name == "/" {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	if err := d.step(); err != nil {
		return err
	}
	d.change(nameOp{to: dir, toName: path.Base(name), node: newDirNode()})
	return nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return err
	}
	if len(n.names) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	if err := d.step(); err != nil {
		return err
	}
	dir, _ := d.find(path.Dir(name))
	d.change(nameOp{from: dir, fromName: path.Base(name)})
	return nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(from)
	if err != nil {
		return err
	}
	toDir, err := d.find(path.Dir(to))
	if err != nil {
		return err
	}
	if t := toDir.names[path.Base(to)]; t != nil && (t.dir || n.dir) {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	if err := d.step(); err != nil {
		return err
	}
	fromDir, _ := d.find(path.Dir(from))
	d.change(nameOp{fromDir, toDir, path.Base(from), path.Base(to), n})
	return nil
}

func (d *memDisk) ReadDir(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errDead
	}
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: syscall.ENOTDIR}
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

// SyncDir makes the changes of one directory durable; what they say of others stays as it is.
func (d *memDisk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return err
	}
	if err := d.step(); err != nil {
		return err
	}
	var rest []nameOp
	for _, op := range d.ops {
		if op.from != n && op.to != n {
			rest = append(rest, op)
			continue
		}
		op.commit()
		// What came before for the other name is not to come back.
		if op.from != nil && op.from != n {
			rest = slices.DeleteFunc(rest, func(o nameOp) bool { return o.to == op.from && o.toName == op.fromName })
		}
	}
	d.ops = rest
	return nil
}

func (d *memDisk) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errDead
	}
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if _, held := d.locks[n]; held {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	d.locks[n] = d.epoch
	d.open++
	return memLock{d, n, d.epoch}, nil
}

type memLock struct {
	d     *memDisk
	n     *inode
	epoch int
}

func (l memLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.d.locks[l.n] == l.epoch && l.epoch == l.d.epoch {
		delete(l.d.locks, l.n)
		l.d.open--
	}
	return nil
}

func (d *memDisk) Boot() string { return fmt.Sprint("boot ", d.boot) }
