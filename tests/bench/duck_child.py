"""A process of DuckDB's own, so that its time and memory can be measured: runs a job file's statements.

Usage: duck_child.py JOB.json; the job has `threads`, `statements` and `questions` (name -> query). Prints
the answers as JSON.
"""

import json
import sys

import duckdb


def main():
    """Run the job."""
    with open(sys.argv[1], encoding="utf-8") as source:
        job = json.load(source)
    connection = duckdb.connect(config={"threads": job["threads"]})
    for statement in job["statements"]:
        try:
            connection.execute(statement)
        except duckdb.Error as fault:
            sys.exit(f"{fault}\nin statement:\n{statement[:4000]}")
    answers = {}
    for name, query in job.get("questions", {}).items():
        found = connection.execute(query)
        names = [column[0] for column in found.description]
        answers[name] = [dict(zip(names, map(str, row))) for row in found.fetchall()]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
