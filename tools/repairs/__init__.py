"""Small edits that repair: the templates of mutation-based and template-based program repair.

After Debroy and Wong, "Using mutation to automatically suggest fixes for faulty programs" (ICST
2010), and Liu et al., "TBar: revisiting template-based automated program repair" (ISSTA 2019).
"""
