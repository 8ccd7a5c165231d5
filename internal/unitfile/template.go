package unitfile

import "argosy/internal/cluster"

// Instantiate returns the text of an instance of a template: the template's own
// text, byte for byte, and so its hash too (fleet's semantics). What differs
// from instance to instance is said with specifiers, and systemd expands those.
func Instantiate(template cluster.UnitName, text string, instance cluster.UnitName) (string, error) {
	if err := cluster.CheckUnitName(instance); err != nil {
		return "", err
	}
	if !template.IsTemplate() {
		return "", cluster.Errorf(cluster.Invalid, "%s is no template", template).WithHint("the name of a template ends in '@' before its type: web@.service")
	}
	if instance.Template() != template {
		return "", cluster.Errorf(cluster.Invalid, "%s is no instance of %s", instance, template)
	}
	return text, nil
}
