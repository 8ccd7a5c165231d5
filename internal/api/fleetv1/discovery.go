package fleetv1

import "net/http"

// discovery serves the description of the API that client generators read
// (Google's discovery format), cut down to what such a client calls.
func discovery(*http.Request) (answer, error) {
	return answer{http.StatusOK, object{
		"kind": "discovery#restDescription", "discoveryVersion": "v1", "id": "fleet:v1", "name": "schema", "version": "v1",
		"title": "fleet API", "protocol": "rest", "servicePath": "/fleet/v1/", "basePath": "/fleet/v1/", "batchPath": "batch",
		"schemas": schemas(), "resources": resources(),
	}}, nil
}

// object is a JSON object.
type object map[string]any

func resources() object {
	name := object{"type": "string", "location": "path", "required": true}
	query := object{"type": "string", "location": "query"}
	named, paged := object{"unitName": name}, object{"nextPageToken": query}
	method := func(verb, path string, parameters object, request, response string) object {
		m := object{"httpMethod": verb, "path": path}
		if parameters != nil {
			m["parameters"] = parameters
		}
		if request != "" {
			m["request"] = ref(request)
		}
		if response != "" {
			m["response"] = ref(response)
		}
		return m
	}
	return object{
		"Units": object{"methods": object{
			"List":   method("GET", "units", paged, "", "UnitPage"),
			"Get":    method("GET", "units/{unitName}", named, "", "Unit"),
			"Set":    method("PUT", "units/{unitName}", named, "Unit", ""),
			"Delete": method("DELETE", "units/{unitName}", named, "", ""),
		}},
		"UnitState": object{"methods": object{
			"List": method("GET", "state", object{"nextPageToken": query, "unitName": query, "machineID": query}, "", "UnitStatePage"),
			"Get":  method("GET", "state/{unitName}", named, "", "UnitState"),
		}},
		"Machines": object{"methods": object{
			"List": method("GET", "machines", paged, "", "MachinePage"),
		}},
	}
}

func ref(name string) object { return object{"$ref": name} }

func schemas() object {
	text := object{"type": "string"}
	state := object{"type": "string", "enum": []string{"inactive", "loaded", "launched"}}
	schema := func(id string, properties object) object {
		return object{"id": id, "type": "object", "properties": properties}
	}
	list := func(of string) object { return object{"type": "array", "items": ref(of)} }
	return object{
		"UnitOption": schema("UnitOption", object{"section": text, "name": text, "value": text}),
		"Unit": schema("Unit", object{
			"name": text, "options": list("UnitOption"), "desiredState": state, "currentState": state, "machineID": text,
		}),
		"UnitPage": schema("UnitPage", object{"units": list("Unit"), "nextPageToken": text}),
		"UnitState": schema("UnitState", object{
			"name": text, "hash": text, "machineID": text,
			"systemdLoadState": text, "systemdActiveState": text, "systemdSubState": text,
		}),
		"UnitStatePage": schema("UnitStatePage", object{"states": list("UnitState"), "nextPageToken": text}),
		"Machine": schema("Machine", object{
			"id": text, "primaryIP": text, "metadata": object{"type": "object", "additionalProperties": text},
		}),
		"MachinePage": schema("MachinePage", object{"machines": list("Machine"), "nextPageToken": text}),
	}
}
