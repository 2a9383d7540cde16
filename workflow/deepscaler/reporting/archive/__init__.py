"""A run as an archive that can be re-verified: what it holds, how it is made, opened, made again and compared.

    table.csv, scores/, figures/ …   results, as in results/{scale}
    work/{scale}/…                   weights, prompts, samples, grades, by the names that they have in every run
    archive.json                     the SHA-256 of every file of the run, those too that are left out, with the reason

Modules may import only what stands above them in this list:
manifest, licences, archive, opening, comparison, soundness, jobs, again, samples, judgement, reverify.
"""
