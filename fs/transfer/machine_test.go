package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// action is one step of a program, or of what goes wrong around it.
type action struct {
	Op       string // save, append, patch, unseen, rename, remove, fault, outage, drain or remount
	Name, To string
	Size     int
	Fault    int // index into machineFaults
}

// machineFaults break one transfer or command each.
var machineFaults = []func() ftptest.Fault{
	func() ftptest.Fault { return ftptest.DropBefore("STOR") },
	func() ftptest.Fault { return ftptest.CutData("STOR", 10) },
	func() ftptest.Fault { return ftptest.CutData("STOR", 2000).ByReset() },
	func() ftptest.Fault { return ftptest.DropAfter("STOR") },
	func() ftptest.Fault { return ftptest.ReplaceReply("STOR", 426, 226, "Transfer complete") },
	func() ftptest.Fault { return ftptest.DropBefore("RNFR") },
	func() ftptest.Fault { return ftptest.DropBefore("RNTO") },
	func() ftptest.Fault { return ftptest.DropAfter("RNTO") },
	func() ftptest.Fault { return ftptest.DropBefore("APPE") },
	func() ftptest.Fault { return ftptest.CutData("APPE", 10) },
	func() ftptest.Fault { return ftptest.DropAfter("APPE") },
	func() ftptest.Fault { return ftptest.DropBefore("DELE") },
	func() ftptest.Fault { return ftptest.DropAfter("DELE") },
	func() ftptest.Fault { return ftptest.DropBefore("SIZE") },
	func() ftptest.Fault { return ftptest.CutData("RETR", 100) },
}

func drawAction(t *rapid.T) action {
	names := rapid.SampledFrom([]string{"a", "b", "c"})
	return action{
		Op: rapid.SampledFrom([]string{"save", "save", "append", "append", "patch", "unseen", "unseen", "rename", "remove",
			"fault", "fault", "outage", "drain", "remount"}).Draw(t, "op"),
		Name: names.Draw(t, "name"), To: names.Draw(t, "to"),
		Size:  rapid.SampledFrom([]int{1, 5000, 5 << 20}).Draw(t, "size"),
		Fault: rapid.IntRange(0, len(machineFaults)-1).Draw(t, "fault"),
	}
}

// machineTally counts over all runs.
type machineTally struct{ runs, faults, files, unseen, bytes, lost int }

// machine does the actions on a mount and in a local folder, the model.
type machine struct {
	*rig
	model string // the folder
	n     int    // contents made
	undo  []func()
	tally *machineTally
	wrong string // what was found first
}

func (m *machine) content(size int) []byte {
	m.n++
	m.tally.files++
	m.tally.bytes += size
	b := bytes.Repeat(fmt.Appendf(nil, "%d,", m.n), size/2+1)
	return b[:size]
}

// write changes a file, on the mount and in the model. What a close that
// failed has written counts all the same: it is in the journal and reaches the server later.
func (m *machine) write(a action, local func(old []byte) []byte, remote func(h *transfer.Handle, old []byte) error) {
	name := filepath.Join(m.model, a.Name)
	old, err := os.ReadFile(name)
	if a.Op != "save" && err != nil {
		return
	}
	var h *transfer.Handle
	if a.Op == "save" {
		h, _, err = m.m.Create(m.Context(), "/"+a.Name, 0o644, false, true)
	} else {
		h, err = m.m.Open(m.Context(), "/"+a.Name, transfer.How{Write: true})
	}
	if err != nil {
		if a.Op == "save" { // an empty STOR can have come about
			m.look(a.Name, old, []byte{})
		}
		return
	}
	if err := remote(h, old); err != nil {
		m.say("%v: %v", a, err)
	}
	m.check(os.WriteFile(name, local(old), 0o644))
	_ = h.Flush(m.Context()) // what it could not send is sent later
	h.Release()
}

func (m *machine) do(a action) {
	switch a.Op {
	case "save":
		b := m.content(a.Size)
		m.write(a, func([]byte) []byte { return b }, func(h *transfer.Handle, _ []byte) error { return writeAll(h, b, 0) })
	case "append":
		b := m.content(min(a.Size, 5000))
		m.write(a, func(old []byte) []byte { return append(old, b...) }, func(h *transfer.Handle, _ []byte) error {
			_, err := h.Append(b)
			return err
		})
	case "patch":
		b := m.content(min(a.Size, 100))
		m.write(a, func(old []byte) []byte {
			off := len(old) / 2
			return append(append(bytes.Clone(old[:off]), b...), old[min(len(old), off+len(b)):]...)
		}, func(h *transfer.Handle, old []byte) error { return writeAll(h, b, int64(len(old)/2)) })
	case "unseen":
		b := m.content(min(a.Size, 100))
		m.write(a, func(old []byte) []byte {
			off := len(old) - min(len(old), len(b)/2)
			return append(append(bytes.Clone(old[:off]), b...), b...)
		}, func(h *transfer.Handle, old []byte) error {
			return m.writeUnseen(h, b, int64(len(old)-min(len(old), len(b)/2)))
		})
	case "rename", "remove":
		m.changeName(a)
	case "fault":
		m.tally.faults++
		m.undo = append(m.undo, m.srv.Fault(machineFaults[a.Fault]().Once()))
	case "outage":
		m.tally.faults++
		m.srv.DropSessions()
	case "drain":
		m.settleDown()
	case "remount":
		m.tally.faults++
		m.unmount()
		m.mount(8)
	}
}

// changeName renames or removes a file. A call that failed can have come about.
func (m *machine) changeName(a action) {
	from, to := filepath.Join(m.model, a.Name), filepath.Join(m.model, a.To)
	was, err := os.ReadFile(from)
	if err != nil || a.Op == "rename" && a.Name == a.To {
		return
	}
	if a.Op == "remove" {
		err = m.m.Remove(m.Context(), "/"+a.Name, nil)
	} else {
		err = m.m.Rename(m.Context(), "/"+a.Name, "/"+a.To, false, nil, nil)
	}
	if err != nil {
		m.settleDown()
		if _, statErr := os.Stat(filepath.Join(m.srv.Root, a.Name)); statErr == nil {
			m.look(a.Name, was, was)
			return
		}
	}
	if a.Op == "remove" {
		m.check(os.Remove(from))
	} else {
		m.check(os.Rename(from, to))
	}
}

// look makes the model what the server has of name, which must be one of two.
func (m *machine) look(name string, one, other []byte) {
	m.settleDown()
	got, err := os.ReadFile(filepath.Join(m.srv.Root, name))
	switch {
	case err != nil && one == nil:
		return
	case err != nil || !bytes.Equal(got, one) && !bytes.Equal(got, other):
		m.say("%s has %d bytes that are neither, %v", name, len(got), err)
		return
	}
	m.check(os.WriteFile(filepath.Join(m.model, name), got, 0o644))
}

// settleDown ends the faults and waits until everything is on the server.
func (m *machine) settleDown() {
	for _, undo := range m.undo {
		undo()
	}
	m.undo = nil
	ctx, cancel := context.WithTimeout(m.Context(), 10*time.Minute)
	defer cancel()
	for range 3 { // what is refused for a moment is tried again
		m.check(m.m.Drain(ctx, nil))
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	m.tree.ForgetAll()
}

// same compares the server with the model.
func (m *machine) same(dir, what string) {
	want, got := contents(m.model), contents(dir)
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			m.tally.lost += len(b)
			m.say("%s: %s has %d bytes that are not the %d wanted", what, name, len(got[name]), len(b))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			m.say("%s: %s should not be there", what, name)
		}
	}
}

func contents(dir string) map[string][]byte {
	all := make(map[string][]byte)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		all[e.Name()], _ = os.ReadFile(filepath.Join(dir, e.Name()))
	}
	return all
}

func (m *machine) say(format string, a ...any) {
	if m.wrong == "" {
		m.wrong = fmt.Sprintf(format, a...)
	}
}

func (m *machine) check(err error) {
	if err != nil {
		m.say("%v", err)
	}
}

func writeAll(h *transfer.Handle, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := h.WriteAt(b[:min(len(b), 1<<20)], off)
		if err != nil {
			return err
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// writeUnseen writes b twice as the kernel does, if that can be. A descriptor
// is closed in between.
func (m *machine) writeUnseen(h *transfer.Handle, b []byte, off int64) error {
	write := func(off int64) error { return writeAll(h, b, off) }
	if file := h.BackingToWrite(m.Context()); file != nil {
		defer file.Close()
		kernel, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer kernel.Close()
		m.tally.unseen++
		write = func(off int64) error { return errOf(kernel.WriteAt(b, off)) }
	}
	if err := write(off); err != nil {
		return err
	}
	_ = h.Flush(m.Context())
	return write(off + int64(len(b)))
}

func errOf(_ int, err error) error { return err }

// Whatever breaks, what close called safe, and what it could not send, is on
// the server in the end, whole, and nothing else is: as in a local folder.
func TestWritesAsInALocalFolder(t *testing.T) {
	modes := map[string]transfer.Options{
		"through": {}, "back": {Write: transfer.WriteBack}, "direct": {Direct: true}, "retry": {Retry: time.Minute},
	}
	var tally machineTally
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]string{"through", "back", "direct", "retry"}).Draw(rt, "mode")
		actions := rapid.SliceOfN(rapid.Custom(drawAction), 1, 12).Draw(rt, "actions")
		wrong := ""
		synctest.Test(t, func(t *testing.T) {
			m := &machine{rig: newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(time.Millisecond))), model: t.TempDir(), tally: &tally}
			m.remount(8, modes[mode])
			for _, a := range actions {
				m.do(a)
			}
			m.settleDown()
			m.same(m.srv.Root, "on the server")
			if p := m.m.Status().Pending; len(p) > 0 {
				m.say("pending: %v", p)
			}
			wrong = m.wrong
			tally.runs++
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
	t.Logf("runs %d, faults tried %d, files written %d (%d of them as the kernel does), bytes written %d, bytes lost %d", tally.runs, tally.faults, tally.files, tally.unseen, tally.bytes, tally.lost)
}
