"""The paper's figures and ours, drawn by notebooks."""
