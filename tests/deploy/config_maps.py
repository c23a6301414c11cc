"""Writes every proxy.yaml that stands in a ConfigMap of a manifest into a folder of its own, and prints the paths.

    config_maps.py FOLDER FILE...
"""

import pathlib
import sys

import yaml


def main(folder, files):
    written = 0
    for file in files:
        with open(file, encoding="utf-8") as stream:
            for document in yaml.safe_load_all(stream):
                if not document or document["kind"] != "ConfigMap" or "proxy.yaml" not in document["data"]:
                    continue
                target = pathlib.Path(folder, f"{pathlib.Path(file).stem}-{document['metadata']['name']}", "proxy.yaml")
                target.parent.mkdir(parents=True)
                target.write_text(document["data"]["proxy.yaml"], encoding="utf-8")
                written += 1
                print(target)
    if written == 0:
        sys.exit("no proxy.yaml in a ConfigMap of: " + " ".join(files))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
