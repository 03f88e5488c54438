package ftp

import (
	"strings"
	"sync"
	"time"

	"ftpfs/conn/wire"
)

// server is what the sessions of one Dialer have learned about their server.
type server struct {
	peer  *wire.Server
	facts *facts

	mu      sync.Mutex
	lacking map[string]bool // guarded by mu; commands that it does not know, see lack
	hosts   hosts           // guarded by mu
	links   bool            // guarded by mu; MLSD has named a symlink
	site    []string        // guarded by mu; words of the answer to SITE HELP; not nil: it was asked
	setUp   []string        // guarded by mu; what the last login sent behind TYPE

	kept map[string]verdict // guarded by mu; by command and risk: are new names kept as they are?

	listZone   *time.Location // guarded by mu; nil: not known
	zoneTrials int            // guarded by mu
}

// lacks reports whether the server has said that it does not know a command.
func (v *server) lacks(command string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lacking[command]
}

// lack takes note of it if r says that the server does not know the command
// (RFC 959: 500 syntax error, 502 not implemented, 504 not for that parameter).
func (v *server) lack(command string, r wire.Reply) bool {
	if r.Code != 500 && r.Code != 502 && r.Code != 504 {
		return false
	}
	v.without(command)
	return true
}

// without takes note that a command is of no use.
func (v *server) without(command string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lacking[command] = true
}

// setUpLines returns what a login will send behind TYPE, as far as that is known.
func (v *server) setUpLines() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.setUp == nil {
		return []string{"SYST", "PWD"}
	}
	return v.setUp
}

func (v *server) setSetUpLines(lines []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.setUp = lines
}

// siteHelp returns the words of the answer to SITE HELP, in upper case, if it
// was asked for.
func (v *server) siteHelp() (words []string, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.site, v.site != nil
}

func (v *server) setSiteHelp(words []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.site = append([]string{}, words...)
}

func (v *server) keeps(what string) verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.kept[what]
}

func (v *server) setKeeps(what string, x verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kept[what] = x
}

func (v *server) knownHosts() hosts {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hosts
}

func (v *server) triedHost(x verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hosts.tried = x
}

func (v *server) listsHost() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hosts.listed = true
}

func (v *server) namesLinks() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.links
}

func (v *server) setNamesLinks() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.links = true
}

// features is the server's answer to FEAT (RFC 2389): upper-case verbs with
// their parameters.
type features map[string]string

func parseFeatures(r wire.Reply) features {
	f := make(features)
	if r.Code != 211 || len(r.Lines) < 3 {
		return f
	}
	for _, l := range r.Lines[1 : len(r.Lines)-1] {
		verb, params, _ := strings.Cut(strings.TrimSpace(l), " ")
		if verb = strings.ToUpper(verb); verb == "SITE" { // ProFTPD has a line for each
			f["SITE "+strings.ToUpper(strings.TrimSpace(params))] = ""
		} else if verb != "" {
			f[verb] = strings.TrimSpace(params)
		}
	}
	return f
}

func (f features) has(verb string) bool {
	_, ok := f[verb]
	return ok
}

// facts returns the facts that MLST and MLSD offer, in the form of OPTS MLST.
// The asterisks mark those that are on.
func (f features) facts() string {
	facts := strings.ReplaceAll(f["MLST"], "*", "")
	if facts != "" && !strings.HasSuffix(facts, ";") {
		facts += ";"
	}
	return facts
}
