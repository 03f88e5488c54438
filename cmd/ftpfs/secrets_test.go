package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/conn"
)

// sources is where a test's secrets are.
type sources struct {
	file, url, env, netrc, prompt string // "": not there
}

func TestPasswordOrder(t *testing.T) {
	all := sources{"from file", "from-url", "from env", "machine h login me password from-netrc", "from prompt"}
	without := func(clear ...func(*sources)) sources {
		s := all
		for _, f := range clear {
			f(&s)
		}
		return s
	}
	file := func(s *sources) { s.file = "" }
	url := func(s *sources) { s.url = "" }
	env := func(s *sources) { s.env = "" }
	rc := func(s *sources) { s.netrc = "" }
	prompt := func(s *sources) { s.prompt = "" }
	for _, c := range []struct {
		name string
		have sources
		want string
		none bool
	}{
		{"all", all, "from file", false},
		{"no file", without(file), "from-url", false},
		{"no URL", without(file, url), "from env", false},
		{"no environment", without(file, url, env), "from-netrc", false},
		{"no netrc", without(file, url, env, rc), "from prompt", false},
		{"none", without(file, url, env, rc, prompt), "", true},
		{"prompt is not needed", without(prompt), "from file", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := find(t, c.have, "me")
			if err != nil || cfg.Password != c.want || cfg.HasPassword == c.none {
				t.Errorf("%q (has one: %v), %v; want %q", cfg.Password, cfg.HasPassword, err, c.want)
			}
		})
	}
}

// find looks for the password of user at the host h.
func find(t *testing.T, have sources, user string) (conn.Config, error) {
	t.Helper()
	home := t.TempDir()
	s := secrets{
		getenv: func(name string) string { return map[string]string{"HOME": home, passwordEnv: have.env}[name] },
		notice: func(line string) { t.Errorf("unexpected notice: %s", line) },
	}
	if have.prompt != "" {
		s.prompt = func(question string) (string, error) {
			if !strings.Contains(question, user) || !strings.Contains(question, "h") {
				t.Errorf("the question %q does not say for whom", question)
			}
			return have.prompt, nil
		}
	}
	write := func(name, text string) string {
		if text == "" {
			return ""
		}
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(".netrc", have.netrc)
	u := "ftp://h/"
	if user != "" {
		u = "ftp://" + user + "@h/"
		if have.url != "" {
			u = "ftp://" + user + ":" + have.url + "@h/"
		}
	}
	cfg, err := conn.ParseURL(u)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, s.find(context.Background(), &cfg, write("password", have.file))
}

func TestAnonymousAsksNobody(t *testing.T) {
	plain, err := conn.ParseURL("ftp://h/")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := find(t, sources{env: "secret", netrc: "default login x password secret", prompt: "secret"}, "")
	if err != nil || cfg.Password != plain.Password {
		t.Errorf("the anonymous login got the password %q, %v", cfg.Password, err)
	}
	if _, err := find(t, sources{file: "secret"}, ""); err == nil {
		t.Error("a password file without a user is no error")
	}
}

func TestEmptyPasswordInURL(t *testing.T) {
	cfg, err := conn.ParseURL("ftp://me:@h/")
	if err != nil {
		t.Fatal(err)
	}
	s := secrets{getenv: func(string) string { return "other" }}
	if err := s.find(t.Context(), &cfg, ""); err != nil || cfg.Password != "" || !cfg.HasPassword {
		t.Errorf("%q, %v", cfg.Password, err)
	}
}

func TestPasswordFile(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"secret":             "secret",
		"secret\n":           "secret",
		"secret\r\nnot this": "secret",
		" with blanks \n":    " with blanks ",
	} {
		name := filepath.Join(dir, "p")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readPassword(name); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{empty, dir, filepath.Join(dir, "missing")} {
		_, err := readPassword(name)
		if told, ok := errors.AsType[*exitError](err); !ok || told.code != exitFailure {
			t.Errorf("%s: %v, want a failure that says what to do", name, err)
		}
	}
}

func TestNetrc(t *testing.T) {
	for _, c := range []struct {
		text, want string
	}{
		{"machine h login me password right", "right"},
		{"machine H\n\tlogin me\n\tpassword right\n", "right"},
		{"machine h login other password wrong\nmachine h login me password right", "right"},
		{"machine h password right", "right"},
		{"machine g login me password wrong", ""},
		{"machine g login me password wrong\ndefault login me password right", "right"},
		{"default password right", "right"},
		{"default login other password wrong", ""},
		{"", ""},
	} {
		entries, err := parseNetrc(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		if got, ok := netrcPassword(entries, "h", "me"); got != c.want || ok != (c.want != "") {
			t.Errorf("%q: %q, %v; want %q", c.text, got, ok, c.want)
		}
	}
	if _, err := parseNetrc("machine"); err == nil {
		t.Error("a netrc that ends in the middle is no error")
	}
}

func TestNetrcThatOthersCanRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rc")
	if err := os.WriteFile(name, []byte("machine h login me password secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	var notices []string
	s := secrets{
		getenv: func(v string) string { return map[string]string{"NETRC": name}[v] },
		notice: func(line string) { notices = append(notices, line) },
	}
	if p, ok := s.fromNetrc("h", "me"); !ok || p != "secret" || notices != nil {
		t.Fatalf("$NETRC: %q, %v, %q", p, ok, notices)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if p, ok := s.fromNetrc("h", "me"); ok || len(notices) != 1 || !strings.Contains(notices[0], "chmod 600") {
		t.Errorf("readable by others: %q, %v, %q", p, ok, notices)
	}
}
