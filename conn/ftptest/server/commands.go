package server

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
)

// trait is what execute has to know of a command.
type trait uint8

const (
	beforeLogin trait = 1 << iota // may be used without being logged in
	needsArg                      // refused without an argument
	changes                       // refused by a read-only server
	takesData                     // uses up the data connection
)

type command struct {
	run    func(*session) Reply
	traits trait
}

func (c command) is(t trait) bool { return c.traits&t != 0 }

// commands returns the table of what the server understands.
func commands() map[string]command {
	ok := func(text string) func(*session) Reply {
		return func(*session) Reply { return Reply{Code: 200, Text: text} }
	}
	return map[string]command{
		// Access and session.
		"USER": {(*session).cmdUser, beforeLogin | needsArg},
		"PASS": {(*session).cmdPass, beforeLogin},
		"AUTH": {(*session).cmdAuth, beforeLogin | needsArg},
		"PBSZ": {(*session).cmdPbsz, beforeLogin | needsArg},
		"PROT": {(*session).cmdProt, beforeLogin | needsArg},
		"ACCT": {notImplemented, beforeLogin},
		"QUIT": {(*session).cmdQuit, beforeLogin},
		"NOOP": {ok("NOOP command successful"), beforeLogin},
		"SYST": {(*session).cmdSyst, beforeLogin},
		"FEAT": {(*session).cmdFeat, beforeLogin},
		"HELP": {(*session).cmdHelp, beforeLogin},
		"OPTS": {(*session).cmdOpts, beforeLogin | needsArg},
		"TYPE": {(*session).cmdType, needsArg},
		"MODE": {(*session).cmdMode, needsArg},
		"STRU": {(*session).cmdStru, needsArg},
		"ALLO": {(*session).cmdAllo, needsArg},
		"SITE": {(*session).cmdSite, needsArg},
		"ABOR": {(*session).cmdAbor, 0},

		// The data connection.
		"EPSV": {(*session).cmdEpsv, 0},
		"PASV": {(*session).cmdPasv, 0},
		"EPRT": {(*session).cmdEprt, needsArg},
		"PORT": {(*session).cmdPort, needsArg},

		// Transfers.
		"REST": {(*session).cmdRest, needsArg},
		"RETR": {(*session).cmdRetr, needsArg | takesData},
		"STOR": {(*session).cmdStor, needsArg | takesData | changes},
		"APPE": {(*session).cmdAppe, needsArg | takesData | changes},
		"LIST": {(*session).cmdList, takesData},
		"NLST": {(*session).cmdNlst, takesData},
		"MLSD": {(*session).cmdMlsd, takesData},
		"MLST": {(*session).cmdMlst, 0},
		"STAT": {(*session).cmdStat, 0},

		// Files and directories; the X forms are those of RFC 775.
		"PWD":  {(*session).cmdPwd, 0},
		"XPWD": {(*session).cmdPwd, 0},
		"CWD":  {(*session).cmdCwd, needsArg},
		"XCWD": {(*session).cmdCwd, needsArg},
		"CDUP": {(*session).cmdCdup, 0},
		"XCUP": {(*session).cmdCdup, 0},
		"SIZE": {(*session).cmdSize, needsArg},
		"MDTM": {(*session).cmdMdtm, needsArg},
		"MFMT": {(*session).cmdMfmt, needsArg | changes},
		"DELE": {(*session).cmdDele, needsArg | changes},
		"MKD":  {(*session).cmdMkd, needsArg | changes},
		"XMKD": {(*session).cmdMkd, needsArg | changes},
		"RMD":  {(*session).cmdRmd, needsArg | changes},
		"XRMD": {(*session).cmdRmd, needsArg | changes},
		"RNFR": {(*session).cmdRnfr, needsArg | changes},
		"RNTO": {(*session).cmdRnto, needsArg | changes},
	}
}

func notImplemented(s *session) Reply { return replyf(502, "%s command not implemented", s.verb) }

func (s *session) cmdUser() Reply {
	if s.granted {
		return replyf(230, "User %s logged in", s.user)
	}
	s.user = s.arg
	if s.anonymous() {
		return Reply{Code: 331, Text: "Anonymous login ok, send your complete email address as your password"}
	}
	return replyf(331, "Password required for %s", s.user)
}

func (s *session) cmdPass() Reply {
	switch {
	case s.granted:
		return Reply{Code: 503, Text: "You are already logged in"}
	case s.user == "":
		return Reply{Code: 503, Text: "Login with USER first"}
	}
	if s.anonymous() {
		s.granted = true
		return Reply{Code: 230, Text: "Anonymous access granted, restrictions apply"}
	}
	want, known := s.srv.cfg.Users[s.user]
	if subtle.ConstantTimeCompare([]byte(want), []byte(s.arg)) != 1 || !known {
		s.log.Info("ftp login refused", "user", s.user)
		s.user = ""
		return Reply{Code: 530, Text: "Login incorrect."}
	}
	s.granted = true
	s.log.Debug("ftp login", "user", s.user)
	return replyf(230, "User %s logged in", s.user)
}

func (s *session) anonymous() bool {
	return s.srv.cfg.Users == nil && (s.user == "anonymous" || s.user == "ftp")
}

func (s *session) cmdQuit() Reply { return Reply{Code: 221, Text: "Goodbye.", Close: true} }
func (s *session) cmdSyst() Reply { return Reply{Code: 215, Text: "UNIX Type: L8"} }

func (s *session) cmdFeat() Reply {
	features := []string{
		"Features:",
		" EPRT",
		" EPSV",
		" MDTM",
		" MFMT",
		" MLST " + s.factList(),
		" REST STREAM",
		" SITE COPY",
		" SITE SYMLINK",
		" SITE UTIME",
		" SIZE",
		" TVFS",
		" UTF8",
	}
	if s.srv.cfg.TLS != nil {
		features = append(features, " AUTH TLS", " PBSZ", " PROT")
	}
	return Reply{Code: 211, Text: strings.Join(append(features, "End"), "\n")}
}

func (s *session) cmdHelp() Reply {
	if s.arg != "" {
		verb := strings.ToUpper(s.arg)
		if _, ok := s.srv.commands[verb]; !ok {
			return replyf(502, "Unknown command '%s'", verb)
		}
		return replyf(214, "Syntax: %s", verb)
	}
	var verbs []string
	for v := range s.srv.commands {
		verbs = append(verbs, fmt.Sprintf("%-8s", v))
	}
	slices.Sort(verbs)
	lines := []string{"The following commands are recognized:"}
	for row := range slices.Chunk(verbs, 8) {
		lines = append(lines, " "+strings.Join(row, ""))
	}
	return Reply{Code: 214, Text: strings.Join(append(lines, "End of help"), "\n")}
}

func (s *session) cmdOpts() Reply {
	name, rest, _ := strings.Cut(s.arg, " ")
	switch strings.ToUpper(name) {
	case "UTF8": // names are bytes: on and off are the same
		if v := strings.ToLower(rest); v == "on" || v == "off" {
			return replyf(200, "UTF8 set to %s", v)
		}
	case "MLST":
		return s.chooseFacts(rest)
	}
	return replyf(500, "OPTS %s not understood", s.arg)
}

func (s *session) cmdType() Reply {
	switch t := strings.ToUpper(s.arg); t {
	case "A", "A N":
		s.ascii = true
	case "I", "L 8":
		s.ascii = false
	default:
		return replyf(504, "TYPE not implemented for '%s' parameter", s.arg)
	}
	return replyf(200, "Type set to %s", strings.ToUpper(s.arg[:1]))
}

func (s *session) cmdMode() Reply {
	if strings.EqualFold(s.arg, "S") {
		return Reply{Code: 200, Text: "Mode set to S"}
	}
	return replyf(504, "'MODE %s' unsupported transfer mode", s.arg)
}

func (s *session) cmdStru() Reply {
	if strings.EqualFold(s.arg, "F") {
		return Reply{Code: 200, Text: "Structure set to F"}
	}
	return replyf(504, "'STRU %s' unsupported structure type", s.arg)
}

func (s *session) cmdAllo() Reply {
	return Reply{Code: 202, Text: "No storage allocation necessary"}
}

// cmdAbor answers an ABOR that comes when its transfer is over or aborted:
// see await.
func (s *session) cmdAbor() Reply {
	s.dropData()
	return Reply{Code: 226, Text: "Abort successful"}
}

func (s *session) cmdSite() Reply {
	name, rest, _ := strings.Cut(s.arg, " ")
	switch strings.ToUpper(name) {
	case "HELP":
		return Reply{Code: 214, Text: "The following SITE commands are recognized\n CPFR <sp> pathname\n CPTO <sp> pathname\n UTIME\n SYMLINK\n HELP\n CHMOD\nEnd of help"}
	case "CPFR":
		return s.siteCpfr(rest)
	case "CPTO":
		return s.siteCpto(rest)
	case "CHMOD":
		return s.siteChmod(rest)
	case "SYMLINK":
		return s.siteSymlink(rest)
	case "UTIME":
		return s.siteUtime(rest)
	}
	return replyf(500, "'SITE %s' not understood", s.arg)
}
