package fs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	// exiting is the kernel's PF_EXITING, a bit of field 9 of proc_pid_stat(5).
	exiting = 0x4
	// sigCancel is what glibc's pthread_cancel(3) sends.
	sigCancel = 32
)

// ends is the set of signals, as proc_pid_status(5) has it, that end what a
// program waits for. One that it does not catch arrives as SIGKILL if it ends the program.
const ends uint64 = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) |
	1<<(syscall.SIGTERM-1) | 1<<(syscall.SIGKILL-1) | 1<<(sigCancel-1)

// isWanted tells whether the thread, which waits for a call of ours, has been
// sent nothing that should end it. False if that cannot be found out.
func isWanted(thread uint32) bool {
	dir := fmt.Sprintf("/proc/%d/", thread)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the name before it can have spaces
	if len(fields) < 7 {
		return false
	}
	if flags, err := strconv.ParseUint(fields[6], 10, 64); err != nil || flags&exiting != 0 {
		return false
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return false
	}
	pending, err := pendingSignals(status)
	return err == nil && pending&ends == 0
}

// pendingSignals returns the signals of a proc_pid_status(5) that wait for
// the thread or its process and that it does not block.
func pendingSignals(status []byte) (set uint64, err error) {
	sets := make(map[string]uint64)
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "SigPnd", "ShdPnd", "SigBlk":
			if sets[name], err = strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil {
				return 0, err
			}
		}
	}
	if len(sets) != 3 {
		return 0, fmt.Errorf("%d sets of signals, not 3", len(sets))
	}
	return (sets["SigPnd"] | sets["ShdPnd"]) &^ sets["SigBlk"], nil
}
