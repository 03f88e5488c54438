package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudoterminal: the user's and the program's.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// awaitNoEcho returns once the terminal does not show what is typed.
func awaitNoEcho(t *testing.T, terminal *os.File) {
	t.Helper()
	for echoes(t, terminal) {
		if t.Context().Err() != nil {
			t.Fatal("the terminal goes on showing what is typed")
		}
		runtime.Gosched()
	}
}

func TestPromptWithoutEcho(t *testing.T) {
	user, program := openTerminal(t)
	ask := terminalPrompt(t.Context(), program, program)
	if ask == nil {
		t.Fatal("a terminal is not taken for one")
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer)
	go func() {
		text, err := ask("Password: ")
		answers <- answer{text, err}
	}()
	screen := make([]byte, 256)
	n, err := io.ReadAtLeast(user, screen, len("Password: "))
	if err != nil {
		t.Fatal(err)
	}
	awaitNoEcho(t, program)
	if _, err := user.WriteString("hunter2\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.err != nil || a.text != "hunter2" {
		t.Errorf("answer %q, %v", a.text, a.err)
	}
	m, err := user.Read(screen[n:])
	if err != nil {
		t.Fatal(err)
	}
	if shown := string(screen[:n+m]); strings.Contains(shown, "hunter2") {
		t.Errorf("the terminal shows %q", shown)
	}
}

func TestPromptInterrupted(t *testing.T) {
	user, program := openTerminal(t)
	if !echoes(t, program) {
		t.Fatal("a fresh terminal does not echo")
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := terminalPrompt(ctx, program, program)("Password: ")
		failed <- err
	}()
	if _, err := io.ReadFull(user, make([]byte, len("Password: "))); err != nil {
		t.Fatal(err)
	}
	awaitNoEcho(t, program)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if !echoes(t, program) {
		t.Error("the terminal does not echo any more")
	}
	user.WriteString("\n") // ends the read
}

func TestNoPromptWithoutTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if terminalPrompt(t.Context(), null, io.Discard) != nil || terminalPrompt(t.Context(), nil, io.Discard) != nil {
		t.Error("/dev/null is asked for a password")
	}
}
