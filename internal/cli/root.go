package cli

import (
	"time"

	"github.com/spf13/cobra"
)

// globalFlags are those of every verb.
type globalFlags struct {
	context string
	socket  string
	timeout time.Duration
	verbose bool
}

// The groups of the verbs in the help.
const (
	groupCluster = "cluster"
	groupUnits   = "units"
	groupMachine = "machine"
	groupTool    = "tool"
)

// requestTimeout is how long a request may take when the user does not say:
// longer than the election of a new leader takes.
const requestTimeout = 10 * time.Second

// newRoot builds the whole command tree.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   a.name,
		Short: "One computer out of many machines that run systemd",
		Long: `Argosy turns machines that run systemd into one computer. Hand it a unit file;
it runs the unit on one of the machines, and elsewhere when that machine dies.`,
		Args:              cobra.ArbitraryArgs, // expandVerbs has refused unknown verbs
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true, // report prints them
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if a.flags.timeout <= 0 {
			return &verbError{cmd.CommandPath(), misuse("--timeout %s: a request needs a time above zero", a.flags.timeout)}
		}
		return nil
	}
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.AddGroup(
		&cobra.Group{ID: groupUnits, Title: "Units:"},
		&cobra.Group{ID: groupCluster, Title: "The cluster:"},
		&cobra.Group{ID: groupMachine, Title: "This machine:"},
		&cobra.Group{ID: groupTool, Title: "This tool:"},
	)
	flags := root.PersistentFlags()
	flags.StringVar(&a.flags.context, "context", "", "talk to the cluster of this `name` (see context ls)")
	flags.StringVar(&a.flags.socket, "socket", "", "talk to the daemon at this unix socket `path`")
	flags.DurationVar(&a.flags.timeout, "timeout", requestTimeout, "give up on a request after this long")
	complete(root, "context", a.allContextNames)
	flags.BoolVarP(&a.flags.verbose, "verbose", "v", false, "say more on standard error")
	root.Version = buildVersion()
	root.SetVersionTemplate(a.versionLine())
	for _, group := range verbs(a) {
		for _, verb := range group.verbs {
			verb.GroupID = group.id
			root.AddCommand(verb)
			if verb.Name() == "help" {
				root.SetHelpCommand(verb)
			}
		}
	}
	root.AddCommand(newTopics()...)
	if a.fleet() {
		a.asFleetctl(root)
	}
	finish(root)
	return root
}

// verbGroup is a part of the help.
type verbGroup struct {
	id    string
	verbs []*cobra.Command
}

// verbs lists every verb there is, in the order of the help. A verb lives in a
// file of its own, as func newVerb(a *app) *cobra.Command ("lab exec" in
// labexec.go); the few verbs of node, token, context and kv stand with their noun.
// Its RunE returns
// misuse(…) for a command line that makes no sense, an &exitError for an exit
// code of its own, and prints with a.printf (data) and a.notef (progress).
func verbs(a *app) []verbGroup {
	return []verbGroup{
		{groupUnits, []*cobra.Command{
			newSubmit(a), newStart(a), newScale(a), newStop(a), newRestart(a), newLoad(a), newUnload(a), newDestroy(a),
			newCat(a), newExplain(a), newJournal(a), newParameters(a), newListUnits(a), newListUnitFiles(a), newVerify(a),
		}},
		{groupCluster, []*cobra.Command{newStatus(a), newServices(a), newKV(a), newEvents(a), newListMachines(a), newSSH(a), newNode(a), newToken(a)}},
		{groupMachine, []*cobra.Command{newInit(a), newJoin(a), newLeave(a), newReset(a)}},
		{groupTool, []*cobra.Command{newLab(a), newContext(a), newTemplate(a), newFDForward(a), newHelp(a), newCompletion(a), newVersion(a)}},
		{groupTool, []*cobra.Command{newDaemon(a), newEtcd(a), newPermit(a), newResolve(a)}}, // systemd runs these; the help hides them
	}
}

// finish gives the commands what all have in common: flags that cannot be read
// and arguments that do not fit are misuse of that verb, and errors know in
// which verb they arose.
func finish(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	cmd.SuggestionsMinimumDistance = 2
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &verbError{cmd.CommandPath(), misuse("%s", err)}
	})
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			if args(cmd, given) != nil {
				return &verbError{cmd.CommandPath(), misuse("these arguments do not fit: %s", cmd.UseLine())}
			}
			return nil
		}
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, given []string) error {
			if err := run(cmd, given); err != nil {
				return &verbError{cmd.CommandPath(), err}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		finish(child)
	}
}

// newVerbGroup makes a verb that only holds others ("node").
func newVerbGroup(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return misuse("%s needs a verb: %s", cmd.CommandPath(), names(cmd.Commands()))
		},
	}
	cmd.AddCommand(children...)
	return cmd
}
