"""Reports: a result as charts with their numbers, and these as one HTML file that opens anywhere, without a network.

pieces       what a report is made of: a chart, its numbers and the file of them
inspecting, explaining, comparing, surveying
             the pieces of each result, as a person has chosen to see it
page         the file
"""
